// SPDX-License-Identifier: Apache-2.0
#include "common/db/cluster.h"

#include <errno.h>
#include <fcntl.h>
#include <libpq-fe.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "common/clock.h"
#include "common/db/initdb.h"
#include "common/digest.h"
#include "common/log.h"

#define DATABASE "strata"
#define PORT "5432"
#define SOCKET_NAME "/.s.PGSQL." PORT
#define SPARE_CONNECTIONS 10 // for psql, backups, and those PostgreSQL reserves
#define STOP_FAST_MS 60000
#define STOP_HARD_MS 10000
#define ORPHANS_MS 30000 // how long sessions of a killed server may linger
#define PAUSE_MS 30

struct cluster {
    struct cluster_options options;
    struct account account;
    struct installation installation;
    char *dir; // the data directory, absolute
    char *socket_dir;
    char *url;
    pid_t pid; // of the postmaster; 0 = none known
};

const char *cluster_url(const struct cluster *cluster)
{
    return cluster->url;
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL)
        return;
    account_clear(&cluster->account);
    installation_clear(&cluster->installation);
    free(cluster->dir);
    free(cluster->socket_dir);
    free(cluster->url);
    free(cluster);
}

// A start that fails leaves no server behind.
static void cluster_give_up(struct cluster **cluster)
{
    if (*cluster != NULL && cluster_stop(*cluster, NULL) != ERR_NONE)
        log_warn("PostgreSQL does not stop", NULL);
    cluster_free(*cluster);
}

static void pause_ms(long ms)
{
    struct timespec pause = {.tv_nsec = ms * 1000000};
    nanosleep(&pause, NULL);
}

static enum err check_cancelled(const struct cluster *cluster, struct error *e)
{
    if (cluster->options.cancelled != NULL && cluster->options.cancelled())
        return error_set(e, ERR_UNAVAILABLE, "stopped while PostgreSQL was starting");
    return ERR_NONE;
}

// ---- the socket's folder -----------------------------------------------------------

static bool socket_fits(const char *dir)
{
    static const struct sockaddr_un address;
    return strlen(dir) + strlen(SOCKET_NAME) < sizeof address.sun_path;
}

// What lies in a folder that anyone may write in is taken only when it is ours.
static enum err check_run_folder(const struct cluster *cluster, const char *dir,
                                 struct error *e)
{
    struct stat status;
    if (lstat(dir, &status) != 0)
        return error_set_errno(e, errno, "%s", dir);
    if (!S_ISDIR(status.st_mode) || status.st_uid != cluster->account.uid ||
        (status.st_mode & 077) != 0)
        return error_set(e, ERR_INTERNAL,
                         "%s must be a folder of PostgreSQL's user with mode 0700: "
                         "remove it",
                         dir);
    return ERR_NONE;
}

static enum err choose_socket_dir(struct cluster *cluster, struct error *e)
{
    cluster->socket_dir = alloc_printf("%s/run", cluster->dir);
    if (socket_fits(cluster->socket_dir))
        return initdb_make_folder(cluster->socket_dir, &cluster->account, e);
    struct digest digest;
    char hex[DIGEST_HEX_SIZE];
    digest_of(cluster->dir, strlen(cluster->dir), &digest);
    digest_format(&digest, hex);
    bool run = cluster->account.change && access("/run", W_OK) == 0;
    free(cluster->socket_dir);
    cluster->socket_dir = alloc_printf("%s/strata-%u-%.16s", run ? "/run" : "/tmp",
                                       (unsigned)cluster->account.uid, hex);
    enum err err = initdb_make_folder(cluster->socket_dir, &cluster->account, e);
    return err != ERR_NONE ? err : check_run_folder(cluster, cluster->socket_dir, e);
}

// Quoted for a libpq connection string.
static char *connection_string(const struct cluster *cluster, const char *database)
{
    CLEANUP(buf_clear) struct buf text = {0};
    buf_puts(&text, "host='");
    for (const char *c = cluster->socket_dir; *c != '\0'; c++) {
        if (*c == '\'' || *c == '\\')
            buf_putc(&text, '\\');
        buf_putc(&text, *c);
    }
    buf_printf(&text, "' port=" PORT " user=" INITDB_USER " dbname=%s", database);
    return buf_steal(&text);
}

// ---- the running server ------------------------------------------------------------

// The postmaster that postmaster.pid names, 0 when there is none alive. *moved: it
// listens elsewhere.
static pid_t find_running(const struct cluster *cluster, bool *moved)
{
    AUTO_FREE char *path = alloc_printf("%s/postmaster.pid", cluster->dir);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    char line[4096];
    pid_t pid = 0;
    *moved = false;
    for (int i = 1; i <= 5 && fgets(line, sizeof line, file) != NULL; i++) {
        line[strcspn(line, "\n")] = '\0';
        if (i == 1)
            pid = (pid_t)atoi(line);
        if (i == 5 && line[0] != '\0')
            *moved = strcmp(line, cluster->socket_dir) != 0;
    }
    fclose(file);
    if (pid > 1 && process_lives(pid, cluster->dir))
        return pid;
    // PostgreSQL takes over the file of a dead process, but not one whose number was
    // given out again.
    if (pid > 1 && kill(pid, 0) == 0)
        unlink(path);
    return 0;
}

static enum err open_start_log(const struct cluster *cluster, int *fd, struct error *e)
{
    AUTO_FREE char *dir = alloc_printf("%s/log", cluster->dir);
    enum err err = initdb_make_folder(dir, &cluster->account, e);
    if (err != ERR_NONE)
        return err;
    AUTO_FREE char *path = alloc_printf("%s/start.log", dir);
    *fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW,
               0600);
    if (*fd < 0)
        return error_set_errno(e, errno, "open %s", path);
    return ERR_NONE;
}

// The socket's lock file names a process that is dead, or has nothing to do with it.
static enum err spawn_server(struct cluster *cluster, int log_fd, struct error *e)
{
    AUTO_FREE char *lock = alloc_printf("%s" SOCKET_NAME ".lock", cluster->socket_dir);
    if (unlink(lock) != 0 && errno != ENOENT)
        return error_set_errno(e, errno, "remove %s", lock);
    AUTO_FREE char *program = alloc_printf("%s/postgres", cluster->installation.bin);
    AUTO_FREE char *socket =
        alloc_printf("unix_socket_directories=\"%s\"", cluster->socket_dir);
    AUTO_FREE char *connections = alloc_printf(
        "max_connections=%d", cluster->options.connections + SPARE_CONNECTIONS);
    bool sync = cluster->options.fsync;
    const char *argv[] = {
        program, "-D", cluster->dir, "-c", "listen_addresses=", "-c", socket, "-c",
        "port=" PORT, "-c", "unix_socket_permissions=0700", "-c", connections, "-c",
        sync ? "fsync=on" : "fsync=off", "-c",
        sync ? "full_page_writes=on" : "full_page_writes=off", "-c", "log_timezone=UTC",
        "-c", "logging_collector=on", "-c", "log_directory=log", "-c",
        "log_filename=postgresql-%a.log", "-c", "log_truncate_on_rotation=on", "-c",
        "log_rotation_age=1d", "-c", "log_rotation_size=0", NULL};
    return process_spawn(argv, &cluster->account, log_fd, &cluster->pid, e);
}

// Today's log as logging_collector names it, and how long it is.
static char *find_log(const struct cluster *cluster, off_t *size)
{
    char day[8];
    struct tm utc;
    time_t now = time(NULL);
    strftime(day, sizeof day, "%a", gmtime_r(&now, &utc));
    char *path = alloc_printf("%s/log/postgresql-%s.log", cluster->dir, day);
    struct stat status;
    *size = stat(path, &status) == 0 ? status.st_size : 0;
    return path;
}

static void read_piece(int fd, off_t from, struct buf *text)
{
    char piece[4096];
    ssize_t length = fd >= 0 ? pread(fd, piece, sizeof piece, from) : 0;
    if (length > 0)
        buf_append(text, piece, (size_t)length);
}

// What the server said, first to start.log, then past `from` of its own log.
static enum err explain_death(const struct cluster *cluster, int start_fd,
                              const char *log_path, off_t from, bool *orphans,
                              struct error *e)
{
    CLEANUP(buf_clear) struct buf text = {0};
    AUTO_FD int fd = open(log_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    read_piece(start_fd, 0, &text);
    read_piece(fd, from, &text);
    *orphans = strstr(buf_text(&text), "shared memory block") != NULL;
    const char *fatal = buf_text(&text);
    for (const char *next = fatal; (next = strstr(next, "FATAL:")) != NULL; next++)
        fatal = next;
    return error_set(e, ERR_UNAVAILABLE, "PostgreSQL did not start (%.*s); see %s/log",
                     (int)strcspn(fatal, "\n"), fatal, cluster->dir);
}

// Until it takes connections; *died when the process has ended instead.
static enum err wait_ready(struct cluster *cluster, bool *died, struct error *e)
{
    int64_t told_ms = clock_monotonic_ms();
    *died = false;
    while (PQping(cluster->url) != PQPING_OK) {
        if (!process_lives(cluster->pid, cluster->dir)) {
            *died = true;
            cluster->pid = 0;
            return ERR_NONE;
        }
        enum err err = check_cancelled(cluster, e);
        if (err != ERR_NONE)
            return err;
        if (clock_monotonic_ms() - told_ms > 10000) {
            told_ms = clock_monotonic_ms();
            log_info("PostgreSQL is still starting", "log", cluster->dir, NULL);
        }
        pause_ms(PAUSE_MS);
    }
    return ERR_NONE;
}

// One attempt; *orphans says that sessions of a killed server are in the way.
static enum err try_server(struct cluster *cluster, bool *orphans, struct error *e)
{
    AUTO_FD int start_fd = -1;
    bool died = false;
    off_t from = 0;
    AUTO_FREE char *log_path = find_log(cluster, &from);
    enum err err = open_start_log(cluster, &start_fd, e);
    if (err == ERR_NONE)
        err = spawn_server(cluster, start_fd, e);
    if (err == ERR_NONE)
        err = wait_ready(cluster, &died, e);
    if (err == ERR_NONE && died)
        err = explain_death(cluster, start_fd, log_path, from, orphans, e);
    return err;
}

static enum err start_server(struct cluster *cluster, struct error *e)
{
    int64_t give_up_ms = clock_monotonic_ms() + ORPHANS_MS;
    for (;;) {
        bool orphans = false;
        enum err err = try_server(cluster, &orphans, e);
        if (!orphans || clock_monotonic_ms() > give_up_ms)
            return err;
        error_clear(e);
        err = check_cancelled(cluster, e);
        if (err != ERR_NONE)
            return err;
        pause_ms(5 * PAUSE_MS);
    }
}

static bool wait_end(struct cluster *cluster, int64_t limit_ms)
{
    int64_t until_ms = clock_monotonic_ms() + limit_ms;
    while (process_lives(cluster->pid, cluster->dir)) {
        if (clock_monotonic_ms() > until_ms)
            return false;
        pause_ms(PAUSE_MS);
    }
    cluster->pid = 0;
    return true;
}

enum err cluster_stop(struct cluster *cluster, struct error *e)
{
    if (cluster->pid == 0 || !process_lives(cluster->pid, cluster->dir))
        return ERR_NONE;
    if (kill(cluster->pid, SIGINT) != 0)
        return error_set_errno(e, errno, "stop PostgreSQL");
    if (wait_end(cluster, STOP_FAST_MS))
        return ERR_NONE;
    log_warn("PostgreSQL does not stop; it will recover at the next start", NULL);
    if (kill(cluster->pid, SIGQUIT) == 0 && wait_end(cluster, STOP_HARD_MS))
        return ERR_NONE;
    return error_set(e, ERR_INTERNAL, "PostgreSQL (process %d) does not stop",
                     (int)cluster->pid);
}

// ---- first contact ------------------------------------------------------------------

static void connection_close(PGconn **connection)
{
    PQfinish(*connection);
}

static void result_clear(PGresult **result)
{
    PQclear(*result);
}

static enum err ask(PGconn *connection, const char *sql, char answer[64],
                    struct error *e)
{
    CLEANUP(result_clear) PGresult *result = PQexec(connection, sql);
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK)
        return error_set(e, ERR_UNAVAILABLE, "the private PostgreSQL: %s",
                         PQerrorMessage(connection));
    snprintf(answer, 64, "%s", PQntuples(result) > 0 ? PQgetvalue(result, 0, 0) : "");
    return ERR_NONE;
}

#define EXISTS "SELECT datname FROM pg_database WHERE datname = '" DATABASE "'"

// Makes the database where it is missing. *fits: a server that was adopted was started
// with settings that still do.
static enum err prepare_database(struct cluster *cluster, bool *fits, struct error *e)
{
    AUTO_FREE char *url = connection_string(cluster, "postgres");
    CLEANUP(connection_close) PGconn *connection = PQconnectdb(url);
    if (PQstatus(connection) != CONNECTION_OK)
        return error_set(e, ERR_UNAVAILABLE, "the private PostgreSQL: %s",
                         PQerrorMessage(connection));
    char answer[64];
    enum err err = ask(connection, "SHOW max_connections", answer, e);
    if (err != ERR_NONE)
        return err;
    *fits = atoi(answer) >= cluster->options.connections + SPARE_CONNECTIONS;
    err = ask(connection, "SHOW fsync", answer, e);
    if (err != ERR_NONE)
        return err;
    *fits = *fits && strcmp(answer, cluster->options.fsync ? "on" : "off") == 0;
    err = ask(connection, EXISTS, answer, e);
    if (err != ERR_NONE || answer[0] != '\0')
        return err;
    err = ask(connection, "CREATE DATABASE " DATABASE, answer, e);
    if (err == ERR_NONE)
        return ERR_NONE;
    // That of a stratad which was killed may have ended first.
    struct error ignored = {0};
    bool here =
        ask(connection, EXISTS, answer, &ignored) == ERR_NONE && answer[0] != '\0';
    error_clear(&ignored);
    if (!here)
        return err;
    error_clear(e);
    return ERR_NONE;
}

// Adopts the server that runs, or starts one.
static enum err bring_up(struct cluster *cluster, struct error *e)
{
    bool moved = false;
    bool died = true;
    enum err err = ERR_NONE;
    cluster->pid = find_running(cluster, &moved);
    if (cluster->pid != 0) {
        log_info("PostgreSQL runs already: adopted", "pid", log_number(cluster->pid),
                 NULL);
        err = moved ? cluster_stop(cluster, e) : wait_ready(cluster, &died, e);
    }
    if (err == ERR_NONE && died)
        err = start_server(cluster, e);
    return err;
}

static enum err bring_up_fitting(struct cluster *cluster, struct error *e)
{
    bool fits = false;
    enum err err = bring_up(cluster, e);
    if (err == ERR_NONE)
        err = prepare_database(cluster, &fits, e);
    if (err != ERR_NONE || fits)
        return err;
    log_info("PostgreSQL is started again with other settings", NULL);
    err = cluster_stop(cluster, e);
    return err != ERR_NONE ? err : start_server(cluster, e);
}

// The major version of the cluster on disk, 0 when there is none.
static int version_on_disk(const char *dir)
{
    AUTO_FREE char *path = alloc_printf("%s/PG_VERSION", dir);
    FILE *file = fopen(path, "re");
    int major = 0;
    if (file == NULL)
        return 0;
    if (fscanf(file, "%d", &major) != 1)
        major = 0;
    fclose(file);
    return major;
}

static enum err prepare_files(struct cluster *cluster, struct error *e)
{
    int major = version_on_disk(cluster->dir);
    enum err err = account_find(&cluster->account, e);
    if (err == ERR_NONE)
        err = installation_find(major, &cluster->installation, e);
    if (err == ERR_NONE && major == 0) {
        log_info("making the private PostgreSQL", "dir", cluster->dir, NULL);
        err = initdb_make(cluster->dir, &cluster->installation, &cluster->account,
                          cluster->options.fsync, e);
    }
    if (err == ERR_NONE)
        err = initdb_check_reach(cluster->dir, &cluster->account, e);
    if (err == ERR_NONE)
        err = choose_socket_dir(cluster, e);
    return err;
}

enum err cluster_start(const struct cluster_options *options, struct cluster **out,
                       struct error *e)
{
    CLEANUP(cluster_give_up) struct cluster *cluster = alloc_zero(sizeof *cluster);
    cluster->options = *options;
    cluster->dir = alloc_printf("%s/postgres", options->data_dir);
    enum err err = prepare_files(cluster, e);
    if (err != ERR_NONE)
        return err;
    cluster->url = connection_string(cluster, DATABASE);
    err = bring_up_fitting(cluster, e);
    if (err != ERR_NONE)
        return err;
    cluster->options.data_dir = NULL; // the caller's
    *out = steal_ptr(cluster);
    return ERR_NONE;
}

enum err cluster_check(struct cluster *cluster, bool *restarted, struct error *e)
{
    if (restarted != NULL)
        *restarted = false;
    if (cluster->pid != 0 && process_lives(cluster->pid, cluster->dir))
        return ERR_NONE;
    enum err err = bring_up(cluster, e);
    if (restarted != NULL)
        *restarted = err == ERR_NONE;
    return err;
}
