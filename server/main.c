// SPDX-License-Identifier: Apache-2.0
// stratad: options, signals, the life of the service. Exit status: 0 after a clean end,
// 1 when the service cannot start, 2 when options or configuration are wrong.
#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/standard_files.h"
#include "server/reference.h"
#include "server/service.h"

#define EXIT_START 1
#define EXIT_USAGE 2
#define SPARE_DESCRIPTORS 400 // connections that end among them

// Connections and cached files need more descriptors than the usual soft limit gives.
static void raise_descriptor_limit(const struct config *config)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0)
        return;
    limit.rlim_cur = limit.rlim_max;
    (void)setrlimit(RLIMIT_NOFILE, &limit);
    int64_t wanted = 2 * config->connections + config->descriptor_cache +
                     config->database_connections + SPARE_DESCRIPTORS;
    if (limit.rlim_max != RLIM_INFINITY && wanted > (int64_t)limit.rlim_max)
        log_warn("the limit of open files is low for these options", "limit",
                 log_number((long long)limit.rlim_max), "wanted", log_number(wanted),
                 NULL);
}

// Signals that are taken by sigwait in the main thread and blocked in all others.
static sigset_t handled_signals(void)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    return set;
}

static bool stop_is_pending(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

static bool print(enum config_action action)
{
    switch (action) {
    case CONFIG_SERVE:
        return false;
    case CONFIG_HELP:
        config_print_help(stdout);
        break;
    case CONFIG_VERSION:
        printf("stratad %s\n", PACKAGE_VERSION);
        break;
    case CONFIG_PRINT_OPTIONS:
        config_print_markdown(stdout);
        break;
    case CONFIG_PRINT_ERRORS:
        reference_print_errors(stdout);
        break;
    case CONFIG_PRINT_METRICS:
        metrics_print_markdown(stdout);
        break;
    case CONFIG_PRINT_ROUTES:
        reference_print_routes(stdout);
        break;
    }
    return true;
}

// ---- SIGHUP -------------------------------------------------------------------------

static void tell_change(const char *name, bool reload, void *context)
{
    (void)context;
    if (reload)
        log_info("option reloaded", "option", name, NULL);
    else
        log_warn("option changed: it needs a restart", "option", name, NULL);
}

static void apply_log_level(const struct config *config)
{
    enum log_level level;
    if (log_level_parse(config->log_level, &level))
        log_set_level(level);
}

// *reloaded holds what SIGHUP took over last; the service goes on with its own.
static void reload(int argc, char **argv, struct config **reloaded)
{
    struct error e = {0};
    CLEANUP(config_free_at) struct config *fresh = NULL;
    if (config_load(argc, argv, &fresh, &e) != ERR_NONE) {
        log_error("the configuration stays as it was", "reason", e.detail, NULL);
        return;
    }
    config_compare(*reloaded, fresh, tell_change, NULL);
    apply_log_level(fresh);
    config_free(*reloaded);
    *reloaded = steal_ptr(fresh);
    log_info("configuration reloaded", NULL);
}

// ---- life --------------------------------------------------------------------------

static bool is_at_rest(const struct service *service)
{
    return service_active(service) + service_pending(service) == 0;
}

static void pause_drain(void)
{
    struct timespec pause = {.tv_nsec = 10000000};
    nanosleep(&pause, NULL);
}

// Until no request runs and the clients have taken their answers (a container's network
// may go with its last process, and what the kernel still holds with it), the time is
// over, or a second signal comes. Between its last byte read and its first step a
// request is not seen: so at rest twice.
static void drain(struct service *service, int64_t timeout_ms)
{
    int64_t until_ms = clock_monotonic_ms() + timeout_ms;
    log_info("stopping", "requests", log_number(service_active(service)), NULL);
    service_quiesce(service);
    for (int rests = 0; rests < 2; rests = is_at_rest(service) ? rests + 1 : 0) {
        if (clock_monotonic_ms() >= until_ms || stop_is_pending())
            break;
        pause_drain();
    }
    unsigned active = service_active(service), pending = service_pending(service);
    if (active + pending > 0)
        log_warn("requests are cut", "requests", log_number(active), "pending",
                 log_number(pending), NULL);
}

static void serve(struct service *service, int argc, char **argv,
                  struct config **reloaded)
{
    sigset_t handled = handled_signals();
    for (;;) {
        int number = 0;
        if (sigwait(&handled, &number) != 0)
            continue;
        if (number != SIGHUP)
            break;
        reload(argc, argv, reloaded);
    }
    drain(service, (*reloaded)->drain_timeout_ms);
}

static int run(const struct config *config, int argc, char **argv)
{
    CLEANUP(config_free_at) struct config *reloaded = NULL;
    struct service *service = NULL;
    struct error e = {0};
    enum err err = config_load(argc, argv, &reloaded, &e);
    if (err == ERR_NONE)
        err = service_start(config, stop_is_pending, &service, &e);
    if (err == ERR_NONE)
        serve(service, argc, argv, &reloaded);
    else if (!stop_is_pending())
        log_error("stratad cannot start", "reason", e.detail, NULL);
    bool failed = err != ERR_NONE && !stop_is_pending();
    error_clear(&e);
    service_stop(service);
    if (!failed)
        log_info("stopped", NULL);
    return failed ? EXIT_START : 0;
}

int main(int argc, char **argv)
{
    standard_files_open();
    struct error e = {0};
    CLEANUP(config_free_at) struct config *config = NULL;
    if (config_load(argc, argv, &config, &e) != ERR_NONE) {
        fprintf(stderr, "stratad: %s\n", e.detail);
        return EXIT_USAGE;
    }
    if (print(config->action))
        return 0;
    apply_log_level(config);
    raise_descriptor_limit(config);
    signal(SIGPIPE, SIG_IGN);
    sigset_t handled = handled_signals();
    sigprocmask(SIG_BLOCK, &handled, NULL);
    return run(config, argc, argv);
}
