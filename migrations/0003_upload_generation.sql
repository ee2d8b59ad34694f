-- SPDX-License-Identifier: Apache-2.0
-- How many times a server has read an open upload from its row. What it sent before may
-- reach a part's row later, when the file holds other bytes: only the newest may.

ALTER TABLE uploads ADD COLUMN generation bigint NOT NULL DEFAULT 0;
