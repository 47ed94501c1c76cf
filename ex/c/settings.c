#include "settings.h"

#include "json.h"

const char settings_schema[] =
    "{\"$schema\":\"https://json-schema.org/draft/2020-12/schema\","
    "\"title\":\"team-naming\",\"type\":\"object\",\"additionalProperties\":false,\"properties\":{"
    "\"label\":{\"type\":\"string\",\"minLength\":1,\"default\":\"team\","
    "\"description\":\"The label that names the team.\"},"
    "\"separator\":{\"type\":\"string\",\"minLength\":1,\"default\":\"-\","
    "\"description\":\"What stands between the team and the application.\"},"
    "\"required\":{\"type\":\"boolean\",\"default\":false,"
    "\"description\":\"Whether a container without the label is vetoed.\"}}}";

static void add(stage_component_list_string_t *faults, text key, const char *words) {
    text *longer = allocate(faults->len + 1, sizeof(text));
    for (size_t i = 0; i < faults->len; i++) longer[i] = faults->ptr[i];
    text rest = text_copy(words);
    longer[faults->len++] = text_join(&key, &rest, NULL);
    faults->ptr = longer;
}

// What is wrong with a text; NULL if nothing is.
static const char *read_string(const struct json_member *member, text *setting) {
    if (member->kind != JSON_STRING) return ": must be a string";
    if (text_trim(member->string).len == 0) return ": must not be empty";
    *setting = member->string;
    return NULL;
}

static const char *read_boolean(const struct json_member *member, bool *setting) {
    if (member->kind != JSON_BOOLEAN) return ": must be a boolean";
    *setting = member->boolean;
    return NULL;
}

static const char *read_member(const struct json_member *member, struct settings *settings) {
    if (text_equal(member->key, text_copy("label"))) return read_string(member, &settings->label);
    if (text_equal(member->key, text_copy("separator"))) return read_string(member, &settings->separator);
    if (text_equal(member->key, text_copy("required"))) return read_boolean(member, &settings->required);
    return ": there is no such setting; known are label, separator, required";
}

struct settings settings_read(text from, stage_component_list_string_t *faults) {
    struct settings settings = {.label = text_copy("team"), .separator = text_copy("-")};
    *faults = (stage_component_list_string_t){0};
    struct json json;
    if (!json_object(&json, from)) {
        add(faults, text_copy("the settings"), " must be a table");
        return settings;
    }
    for (struct json_member member; json_next(&json, &member);) {
        const char *fault = read_member(&member, &settings);
        if (fault != NULL) add(faults, member.key, fault);
    }
    return settings;
}
