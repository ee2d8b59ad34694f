# SPDX-License-Identifier: Apache-2.0
"""The fault runs of ./dev fault: one module a kind."""
