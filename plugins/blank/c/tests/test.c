// The stage as an ordinary program: its functions are called as the daemon
// would call them.

#include <stdio.h>

#include "../text.h"
#include "../verdict.h"

static int failed = 0;

// The daemon's log.
void wharfinger_pipeline_logging_log(wharfinger_pipeline_logging_level_t level, text *message) {
    (void)level;
    printf("%.*s\n", (int)message->len, (const char *)message->ptr);
}

static void expect(const char *what, bool right) {
    printf("%s - %s\n", right ? "ok" : "not ok", what);
    failed += !right;
}

static bool sound(const char *settings) {
    text given = text_copy(settings);
    stage_component_list_string_t faults;
    return exports_wharfinger_pipeline_stage_validate_settings(&given, &faults);
}

int main(void) {
    text given = text_copy("{}"), error;
    wharfinger_pipeline_types_container_t container = {0};
    wharfinger_pipeline_types_host_facts_t host = {0};
    service proposed = {.name = text_copy("web")};
    exports_wharfinger_pipeline_stage_list_service_t services = {&proposed, 1};
    exports_wharfinger_pipeline_stage_outcome_t outcome;
    exports_wharfinger_pipeline_stage_process(&given, &container, &host, &services, &outcome, &error);
    expect("a verdict for each service", outcome.verdicts.len == 1);
    expect("it stays as it is",
           outcome.verdicts.ptr[0].decision.tag == WHARFINGER_PIPELINE_TYPES_DECISION_KEEP);
    expect("no settings", sound("{}"));
    expect("a setting that there is not", !sound("{\"lable\": 1}"));
    expect("no table", !sound("[]"));

    printf("%s\n", failed == 0 ? "all passed" : "failed");
    return failed != 0;
}
