// The stage.
//
// The functions are those of the contract in wit/, and the types are declared
// in bindings/stage_component.h. A function whose WIT result may be an error
// returns true if it is right.

#include "json.h"
#include "text.h"
#include "verdict.h"

void exports_wharfinger_pipeline_stage_describe(
    exports_wharfinger_pipeline_stage_description_t *answer) {
    *answer = (exports_wharfinger_pipeline_stage_description_t){
        .name = text_copy("team-naming"),
        .version = text_copy("0.1.0"),
        .summary = text_copy("Keeps every service as it is."),
    };
}

static void add(stage_component_list_string_t *faults, text key, const char *words) {
    text *longer = allocate(faults->len + 1, sizeof(text));
    for (size_t i = 0; i < faults->len; i++) longer[i] = faults->ptr[i];
    text rest = text_copy(words);
    longer[faults->len++] = text_join(&key, &rest, NULL);
    faults->ptr = longer;
}

// There are no settings yet.
bool exports_wharfinger_pipeline_stage_validate_settings(
    text *settings, stage_component_list_string_t *faults) {
    *faults = (stage_component_list_string_t){0};
    struct json json;
    if (!json_object(&json, *settings)) add(faults, text_copy("the settings"), " must be a table");
    else
        for (struct json_member member; json_next(&json, &member);)
            add(faults, member.key, ": there is no such setting");
    return faults->len == 0;
}

// The rule for one service: keep(), replace(service) or veto(reason).
static verdict decide(const wharfinger_pipeline_types_container_t *container, service service) {
    (void)container;
    (void)service;
    return keep();
}

bool exports_wharfinger_pipeline_stage_process(
    text *given, exports_wharfinger_pipeline_stage_container_t *container,
    exports_wharfinger_pipeline_stage_host_facts_t *host,
    exports_wharfinger_pipeline_stage_list_service_t *services,
    exports_wharfinger_pipeline_stage_outcome_t *outcome, text *error) {
    (void)given;
    (void)host;
    (void)error;
    verdict *verdicts = allocate(services->len, sizeof(verdict));
    for (size_t i = 0; i < services->len; i++) verdicts[i] = decide(container, services->ptr[i]);
    *outcome = (exports_wharfinger_pipeline_stage_outcome_t){.verdicts = {verdicts, services->len}};
    return true;
}
