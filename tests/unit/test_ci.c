// SPDX-License-Identifier: Apache-2.0
#include "client/lib/ci.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "client/lib/request.h"

// The environment of the moment: names and values in turn.
static const char *const *environment;

static const char *lookup(const char *name)
{
    for (const char *const *pair = environment; *pair != NULL; pair += 2) {
        if (strcmp(pair[0], name) == 0)
            return pair[1];
    }
    return NULL;
}

static struct ci ci_of(const char *const *pairs)
{
    struct ci ci;
    environment = pairs;
    ci_read(&ci, lookup);
    return ci;
}

static void github(void **state)
{
    (void)state;
    static const char *const pairs[] = {
        "GITHUB_ACTIONS",
        "true",
        "GITHUB_SERVER_URL",
        "https://github.example",
        "GITHUB_REPOSITORY",
        "org/train",
        "GITHUB_RUN_ID",
        "4711",
        "GITHUB_SHA",
        "abc123",
        NULL,
    };
    struct ci ci = ci_of(pairs);
    assert_string_equal(ci.system, "github");
    assert_string_equal(ci.run_id, "4711");
    assert_string_equal(ci.run_url,
                        "https://github.example/org/train/actions/runs/4711");
    assert_string_equal(ci.commit, "abc123");
    assert_string_equal(ci.repository, "https://github.example/org/train");
    ci_clear(&ci);
}

static void gitlab(void **state)
{
    (void)state;
    static const char *const pairs[] = {
        "GITLAB_CI",
        "true",
        "CI_PIPELINE_ID",
        "12",
        "CI_PIPELINE_URL",
        "https://gl/p/12",
        "CI_COMMIT_SHA",
        "def",
        "CI_PROJECT_URL",
        "https://gl/p",
        NULL,
    };
    struct ci ci = ci_of(pairs);
    assert_string_equal(ci.system, "gitlab");
    assert_string_equal(ci.run_id, "12");
    assert_string_equal(ci.run_url, "https://gl/p/12");
    assert_string_equal(ci.commit, "def");
    assert_string_equal(ci.repository, "https://gl/p");
    ci_clear(&ci);
}

static void jenkins_and_buildkite(void **state)
{
    (void)state;
    static const char *const jenkins[] = {
        "JENKINS_URL", "https://j",       "BUILD_TAG",  "jenkins-train-7",
        "BUILD_URL",   "https://j/7",     "GIT_COMMIT", "aa",
        "GIT_URL",     "https://g/r.git", NULL,
    };
    struct ci ci = ci_of(jenkins);
    assert_string_equal(ci.system, "jenkins");
    assert_string_equal(ci.run_id, "jenkins-train-7");
    assert_string_equal(ci.repository, "https://g/r.git");
    ci_clear(&ci);
    static const char *const buildkite[] = {
        "BUILDKITE",
        "true",
        "BUILDKITE_BUILD_ID",
        "018f",
        "BUILDKITE_BUILD_URL",
        "https://b/1",
        "BUILDKITE_COMMIT",
        "bb",
        "BUILDKITE_REPO",
        "git@g:r.git",
        NULL,
    };
    ci = ci_of(buildkite);
    assert_string_equal(ci.system, "buildkite");
    assert_string_equal(ci.commit, "bb");
    assert_string_equal(ci.run_url, "https://b/1");
    ci_clear(&ci);
}

static void no_ci(void **state)
{
    (void)state;
    static const char *const pairs[] = {"GIT_COMMIT", "aa", NULL};
    struct ci ci = ci_of(pairs);
    assert_null(ci.system);
    assert_null(ci.commit);
    ci_clear(&ci);
}

static json_t *body_of(const char *origins, const struct ci *ci,
                       enum strata_status wanted)
{
    json_t *body = NULL;
    struct strata_error e = {0};
    assert_int_equal(request_build(json_array(), origins, ci, &body, &e), wanted);
    return body;
}

static const char *text_at(const json_t *body, const char *object, const char *key)
{
    return json_string_value(json_object_get(json_object_get(body, object), key));
}

static void the_run_fills_in_what_is_not_given(void **state)
{
    (void)state;
    char id[] = "7", url[] = "https://ci/7", commit[] = "abc",
         repository[] = "https://g";
    const struct ci ci = {"github", id, url, commit, repository};
    json_t *body = body_of(NULL, &ci, STRATA_OK);
    assert_string_equal(text_at(body, "run", "id"), "7");
    assert_string_equal(text_at(body, "run", "system"), "github");
    assert_string_equal(text_at(body, "code", "commit"), "abc");
    json_decref(body);
    body = body_of("{\"code\":{\"commit\":\"mine\"}}", &ci, STRATA_OK);
    assert_string_equal(text_at(body, "code", "commit"), "mine");
    assert_string_equal(text_at(body, "code", "repository"), "https://g");
    json_decref(body);
    // A run of one's own has nothing to do with the CI run.
    body = body_of("{\"run\":{\"url\":\"https://wandb/r1\"}}", &ci, STRATA_OK);
    assert_string_equal(text_at(body, "run", "id"), "https://wandb/r1");
    assert_null(text_at(body, "run", "system"));
    json_decref(body);
}

static void without_a_run_half_a_code_is_refused(void **state)
{
    (void)state;
    const struct ci ci = {0};
    json_t *body = body_of(NULL, &ci, STRATA_OK);
    assert_null(json_object_get(body, "run"));
    assert_null(json_object_get(body, "code"));
    json_decref(body);
    assert_null(body_of("{\"code\":{\"commit\":\"mine\"}}", &ci, STRATA_USAGE));
    assert_null(body_of("[]", &ci, STRATA_USAGE));
}

static void passwords_stay_out(void **state)
{
    (void)state;
    static const char *const pairs[] = {
        "JENKINS_URL", "https://jenkins/",
        "BUILD_TAG",   "jenkins-train-3",
        "BUILD_URL",   "https://me:secret@jenkins/job/train/3/?a=b@c",
        "GIT_COMMIT",  "abc",
        "GIT_URL",     "https://token:x@oauth@git.example/org/train.git",
        NULL,
    };
    struct ci ci = ci_of(pairs);
    assert_string_equal(ci.run_url, "https://jenkins/job/train/3/?a=b@c");
    assert_string_equal(ci.repository, "https://git.example/org/train.git");
    ci_clear(&ci);
    static const char *const plain[] = {
        "JENKINS_URL", "https://jenkins/", "GIT_URL", "git@git.example:org/train.git",
        NULL,
    };
    ci = ci_of(plain);
    assert_string_equal(ci.repository, "git@git.example:org/train.git");
    ci_clear(&ci);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(github),
        cmocka_unit_test(gitlab),
        cmocka_unit_test(jenkins_and_buildkite),
        cmocka_unit_test(passwords_stay_out),
        cmocka_unit_test(no_ci),
        cmocka_unit_test(the_run_fills_in_what_is_not_given),
        cmocka_unit_test(without_a_run_half_a_code_is_refused),
    };
    return cmocka_run_group_tests_name("ci", tests, NULL, NULL);
}
