# SPDX-License-Identifier: Apache-2.0

libstrata_server_la_SOURCES += \
    %D%/app.h \
    %D%/fields.h \
    %D%/request.h \
    %D%/response.h \
    %D%/role.h \
    %D%/route.h \
    $(NULL)
