#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Prints docs/REFERENCE.md from the tables inside the program.
# usage: scripts/reference.sh STRATAD
set -euo pipefail
stratad=$1

cat <<'TEXT'
# Reference

Written by `./dev reference` from the tables in the code; a test compares the two.

## Options of stratad
On the command line as `--name VALUE` (`_` may be `-`), in the file given with `--config` as `name = value`. Sizes are
bytes, or `48K`, `64M`, `5G`, `1T`; times are `500ms`, `30s`, `5m`, `24h`, `7d`. SIGHUP takes over those marked.

TEXT
"$stratad" --print-options
printf '\n## Errors\nThe `type` of an error is `urn:strata:error:` and one of these.\n\n'
"$stratad" --print-errors
printf '\n## Metrics\nOf `GET /metrics`.\n\n'
"$stratad" --print-metrics
printf '\n## Routes\nMethod, pattern, least role; described in [openapi.yaml](openapi.yaml).\n\n```\n'
"$stratad" --print-routes
printf '```\n'
