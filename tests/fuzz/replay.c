// SPDX-License-Identifier: Apache-2.0
// Runs a target over inputs, without libFuzzer. Without arguments: over its committed
// corpus, as one test in TAP. With arguments: over these files and folders.
#include <dirent.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/alloc.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz.h"

#define PREFIX "fuzz_"

#pragma weak LLVMFuzzerInitialize

static const char *current = "";

static void put(const char *text)
{
    ssize_t ignored = write(STDOUT_FILENO, text, strlen(text));
    (void)ignored;
}

// Says which input it was; the return from the handler ends the process.
static void on_crash(int number)
{
    put("not ok 1 - ");
    put(current);
    put("\n");
    signal(number, SIG_DFL);
    raise(number);
}

static void run_file(const char *path, size_t size)
{
    FILE *file = fopen(path, "re");
    REQUIRE(file != NULL);
    AUTO_FREE uint8_t *data = alloc_zero(size + 1);
    size_t got = fread(data, 1, size, file);
    fclose(file);
    REQUIRE(got == size);
    current = path;
    // Of exactly its size, as libFuzzer hands it over.
    AUTO_FREE uint8_t *exact = alloc_array(size > 0 ? size : 1, 1);
    memcpy(exact, data, size);
    LLVMFuzzerTestOneInput(exact, size);
}

// A file, or the files of a folder. Returns how many there were.
static size_t run(const char *path)
{
    struct stat st;
    if (stat(path, &st) != 0)
        return 0;
    if (S_ISREG(st.st_mode)) {
        run_file(path, (size_t)st.st_size);
        return 1;
    }
    struct dirent **entries = NULL;
    int count = scandir(path, &entries, NULL, alphasort);
    size_t ran = 0;
    for (int i = 0; i < count; i++) {
        if (entries[i]->d_name[0] != '.') {
            AUTO_FREE char *below = alloc_printf("%s/%s", path, entries[i]->d_name);
            ran += run(below);
        }
        free(entries[i]);
    }
    free(entries);
    return ran;
}

// .../fuzz_range, also as libtool names it -> the folder of its inputs.
static char *corpus_of(const char *program)
{
    const char *name = strrchr(program, '/');
    name = name != NULL ? name + 1 : program;
    const char *target = strstr(name, PREFIX);
    REQUIRE(target != NULL);
    const char *root = getenv("top_srcdir");
    return alloc_printf("%s/tests/fuzz/corpus/%s", root != NULL ? root : ".",
                        target + strlen(PREFIX));
}

int main(int argc, char **argv)
{
    signal(SIGABRT, on_crash);
    signal(SIGSEGV, on_crash);
    if (LLVMFuzzerInitialize != NULL)
        LLVMFuzzerInitialize(&argc, &argv);
    if (argc > 1) {
        size_t ran = 0;
        for (int i = 1; i < argc; i++)
            ran += run(argv[i]);
        printf("%zu inputs\n", ran);
        return ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
    }
    AUTO_FREE char *corpus = corpus_of(argv[0]);
    put("1..1\n");
    size_t ran = run(corpus);
    printf("# %zu inputs\n%s 1 - %s\n", ran, ran > 0 ? "ok" : "not ok", corpus);
    return ran > 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
