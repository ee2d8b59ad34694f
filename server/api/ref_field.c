// SPDX-License-Identifier: Apache-2.0
#include "server/api/ref_field.h"

#define REF_MAXIMUM 300

bool fields_ref(struct fields *f, enum fields_need need, struct ref *ref)
{
    struct error why = {0};
    const char *text = fields_text(f, "ref", need, REF_MAXIMUM);
    if (text == NULL)
        return false;
    enum err err = ref_parse(text, "ref", ref, &why);
    if (err != ERR_NONE)
        fields_fail(f, err, "ref", "%s", why.detail);
    error_clear(&why);
    return true;
}
