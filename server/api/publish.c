// SPDX-License-Identifier: Apache-2.0
#include "server/api/publish.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "common/cleanup.h"
#include "server/api/place.h"
#include "server/api/publish_parse.h"

// The same request, however its JSON is spelled, has the same digest.
static void digest_body(const json_t *body, struct digest *digest)
{
    AUTO_FREE char *text = json_dumps(body, JSON_SORT_KEYS | JSON_COMPACT);
    assert(text != NULL);
    digest_of(text, strlen(text), digest);
}

enum err version_publish_handler(struct request *request, struct response *response,
                                 struct error *e)
{
    char model[MODEL_SIZE];
    CLEANUP(publish_request_clear) struct publish_request parsed = {0};
    enum err err = place_model(request, model, e);
    if (err == ERR_NONE)
        err = publish_parse(request->body, &parsed, e);
    if (err != ERR_NONE)
        return err;
    if (parsed.publish.aliases_count > 0 && request->who.role < ROLE_MAINTAINER)
        return error_set_field(e, ERR_FORBIDDEN, "aliases",
                               "setting aliases needs the role maintainer");
    parsed.publish.model = model;
    digest_body(request->body, &parsed.publish.body);
    struct actor actor = place_actor(request);
    struct published published;
    err =
        version_publish(request->app->registry, &actor, &parsed.publish, &published, e);
    if (err != ERR_NONE)
        return err;
    metrics_add(request->app->metrics, METRIC_VERSIONS_PUBLISHED, published.created);
    char location[MODEL_SIZE + 64];
    snprintf(location, sizeof location, "/api/v1/models/%s/versions/%" PRId64, model,
             published.number);
    if (published.created)
        response_header(response, "Location", location);
    response_text(response, published.created ? 201 : 200, "application/json",
                  published.text, strlen(published.text));
    return ERR_NONE;
}
