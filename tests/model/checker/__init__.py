# SPDX-License-Identifier: Apache-2.0
"""The model checker of ./dev model (tests/model/README.md)."""
