# SPDX-License-Identifier: Apache-2.0

noinst_LTLIBRARIES += libstrata_storage.la

libstrata_storage_la_SOURCES = \
    %D%/blob.c \
    %D%/blob.h \
    %D%/blob_writer.c \
    %D%/flush.c \
    %D%/flush.h \
    %D%/follower.c \
    %D%/follower.h \
    %D%/move.h \
    %D%/placement.c \
    %D%/placement.h \
    %D%/repair.c \
    %D%/s3_breaker.c \
    %D%/s3_breaker.h \
    %D%/s3_client.c \
    %D%/s3_client.h \
    %D%/s3_keys.c \
    %D%/s3_keys.h \
    %D%/s3_list.c \
    %D%/s3_list.h \
    %D%/s3_multipart.c \
    %D%/s3_multipart.h \
    %D%/s3_object.c \
    %D%/s3_object.h \
    %D%/s3_sign.c \
    %D%/s3_sign.h \
    %D%/s3_try.c \
    %D%/s3_try.h \
    %D%/s3_writer.c \
    %D%/s3_writer.h \
    %D%/s3_xml.c \
    %D%/s3_xml.h \
    %D%/state.h \
    %D%/storage.c \
    %D%/storage.h \
    %D%/sweep.c \
    %D%/tier.c \
    %D%/tier.h \
    %D%/tier_claim.c \
    %D%/tier_directory.c \
    %D%/tier_directory.h \
    %D%/tier_file.c \
    %D%/tier_file.h \
    %D%/tier_identity.c \
    %D%/tier_identity.h \
    %D%/tier_s3.c \
    %D%/tier_s3.h \
    %D%/tier_s3_metrics.c \
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
