# SPDX-License-Identifier: Apache-2.0
"""Strata beside its peers: the same file, the same client, rounds that take turns."""
