# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libstrata_storage.la

libstrata_storage_la_SOURCES = \
    %D%/blob.c \
    %D%/blob.h \
    %D%/blob_open.c \
    %D%/blob_open.h \
    %D%/blob_writer.c \
    %D%/chunk_reader.c \
    %D%/chunk_reader.h \
    %D%/chunk_scan.c \
    %D%/event.c \
    %D%/event.h \
    %D%/flush.c \
    %D%/flush.h \
    %D%/follower.c \
    %D%/follower.h \
    %D%/move.c \
    %D%/move.h \
    %D%/move_row.c \
    %D%/move_run.c \
    %D%/mover.c \
    %D%/mover.h \
    %D%/placement.c \
    %D%/placement.h \
    %D%/placement_drop.c \
    %D%/placement_drop.h \
    %D%/read_log.c \
    %D%/read_log.h \
    %D%/repair.c \
    %D%/state.h \
    %D%/status.c \
    %D%/status.h \
    %D%/storage.c \
    %D%/storage.h \
    %D%/sweep.c \
    %D%/tend.c \
    %D%/throttle.c \
    %D%/throttle.h \
    %D%/tier.c \
    %D%/tier.h \
    %D%/tier_claim.c \
    %D%/tier_directory.c \
    %D%/tier_directory.h \
    %D%/tier_file.c \
    %D%/tier_file.h \
    %D%/tier_identity.c \
    %D%/tier_identity.h \
    %D%/tier_room.c \
    %D%/tier_room.h \
    %D%/tier_store.c \
    %D%/tier_store.h \
    %D%/upload.c \
    %D%/upload.h \
    %D%/upload_chain.c \
    %D%/upload_chain.h \
    %D%/upload_complete.c \
    %D%/upload_part.c \
    %D%/upload_row.c \
    %D%/upload_row.h \
    %D%/upload_steps.h \
    %D%/upload_table.c \
    %D%/upload_table.h \
    $(NULL)
