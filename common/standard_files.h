// SPDX-License-Identifier: Apache-2.0
// Standard input, output and error of a program that was started without some of them.
#pragma once

// Opens /dev/null for each that is closed, so that no file of ours gets its number and
// what is printed goes into it; reading or writing them fails as before. Before all
// threads and files; a failure is not told.
void standard_files_open(void);
