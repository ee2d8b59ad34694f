# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/aliases.h \
    %D%/app.h \
    %D%/auth.c \
    %D%/auth.h \
    %D%/blobs.c \
    %D%/blobs.h \
    %D%/bytes.c \
    %D%/bytes.h \
    %D%/conditions.c \
    %D%/conditions.h \
    %D%/digest_field.c \
    %D%/digest_field.h \
    %D%/evaluations.h \
    %D%/fields.c \
    %D%/fields.h \
    %D%/health.c \
    %D%/health.h \
    %D%/models.h \
    %D%/publish.h \
    %D%/range.c \
    %D%/range.h \
    %D%/request.c \
    %D%/request.h \
    %D%/response.c \
    %D%/response.h \
    %D%/role.c \
    %D%/role.h \
    %D%/route.h \
    %D%/routes.c \
    %D%/token_text.c \
    %D%/token_text.h \
    %D%/tokens.c \
    %D%/tokens.h \
    %D%/uploads.c \
    %D%/uploads.h \
    %D%/version_files.h \
    %D%/versions.h \
    $(NULL)
