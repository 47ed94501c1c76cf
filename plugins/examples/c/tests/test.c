// The stage as an ordinary program: its functions are called as the daemon
// would call them.

#include <stdio.h>
#include <string.h>

#include "../settings.h"
#include "../text.h"
#include "../verdict.h"

static int failed = 0;
static text warned;

// The daemon's log.
void wharfinger_pipeline_logging_log(wharfinger_pipeline_logging_level_t level, text *message) {
    (void)level;
    warned = *message;
}

static void expect(const char *what, text found, const char *expected) {
    if (text_equal(found, text_copy(expected))) {
        printf("ok - %s\n", what);
        return;
    }
    failed++;
    printf("not ok - %s: '%.*s' instead of '%s'\n", what, (int)found.len, (const char *)found.ptr, expected);
}

// What becomes of a service: its new name, the reason of a veto, or "keep".
static text process(const char *settings, const char *key, const char *value, const char *name) {
    text given = text_copy(settings), error;
    wharfinger_pipeline_types_attribute_t label = {text_copy(key), text_copy(value)};
    wharfinger_pipeline_types_container_t container = {.labels = {&label, 1}};
    wharfinger_pipeline_types_host_facts_t host = {0};
    service proposed = {.name = text_copy(name)};
    exports_wharfinger_pipeline_stage_list_service_t services = {&proposed, 1};
    exports_wharfinger_pipeline_stage_outcome_t outcome;
    warned = (text){0};
    exports_wharfinger_pipeline_stage_process(&given, &container, &host, &services, &outcome, &error);
    wharfinger_pipeline_types_decision_t *decision = &outcome.verdicts.ptr->decision;
    switch (decision->tag) {
    case WHARFINGER_PIPELINE_TYPES_DECISION_REPLACE: return decision->val.replace.name;
    case WHARFINGER_PIPELINE_TYPES_DECISION_VETO: return decision->val.veto.reason;
    default: return text_copy("keep");
    }
}

// All faults of the settings, each with a ';' behind it.
static text faults(const char *settings) {
    text given = text_copy(settings), all = text_copy(""), end = text_copy(";");
    stage_component_list_string_t found;
    exports_wharfinger_pipeline_stage_validate_settings(&given, &found);
    for (size_t i = 0; i < found.len; i++) all = text_join(&all, &found.ptr[i], &end, NULL);
    return all;
}

int main(void) {
    verdict coded = note(note(veto_coded(text_copy("r"), "c"), text_copy("one")), text_copy("two"));
    expect("a veto's code", coded.decision.val.veto.code.val, "c");
    expect("the last of two notes", coded.notes.ptr[coded.notes.len - 1], "two");
    expect("the first of two notes", coded.notes.ptr[0], "one");
    expect("a name gets the team", process("{}", "team", "shop", "web"), "shop-web");
    expect("space around the team", process("{}", "team", " shop\t", "web"), "shop-web");
    expect("a name that is right", process("{}", "team", "shop", "shop-web"), "keep");
    expect("another separator", process("{\"separator\": \".\"}", "team", "shop", "web"), "shop.web");
    expect("another label", process("{ \"label\" : \"t\" }", "t", "pay", "web"), "pay-web");
    expect("no label", process("{}", "owner", "shop", "web"), "keep");
    expect("no label, silently", warned, "");
    expect("an empty label", process("{}", "team", " ", "web"), "keep");
    expect("an empty label, aloud", warned, "the label team is empty");
    expect("a label is required", process("{\"required\":true}", "owner", "x", "web"),
           "the container has no label team");

    expect("sound settings", faults("{\"label\":\"a\",\"required\":false}"), "");
    expect("no table", faults("[]"), "the settings must be a table;");
    expect("every fault", faults("{\"lable\":{\"a\":[1,\"}\"]}, \"separator\":\"\",\"required\":\"x\"}"),
           "lable: there is no such setting; known are label, separator, required;"
           "separator: must not be empty;required: must be a boolean;");
    expect("a number", faults("{\"label\": 12.5, \"separator\": null}"),
           "label: must be a string;separator: must be a string;");
    expect("escapes", process("{\"separator\":\"\\u00fc\\ud83d\\ude00\\n\\\"\\\\\"}", "team", "a", "b"),
           "a\u00fc\U0001f600\n\"\\b");

    printf("%s\n", failed == 0 ? "all passed" : "failed");
    return failed != 0;
}
