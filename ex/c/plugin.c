// The stage: services are named <team>-<app>, where a label of the container
// names the team.
//
// The functions are those of the contract in wit/, and the types are declared
// in bindings/stage_component.h. A function whose WIT result may be an error
// returns true if it is right.

#include "settings.h"
#include "text.h"

typedef wharfinger_pipeline_types_service_t service;
typedef wharfinger_pipeline_types_verdict_t verdict;

void exports_wharfinger_pipeline_stage_describe(
    exports_wharfinger_pipeline_stage_description_t *answer) {
    *answer = (exports_wharfinger_pipeline_stage_description_t){
        .name = text_copy("team-naming"),
        .version = text_copy("0.1.0"),
        .summary = text_copy("Names services <team>-<app>."),
        .settings_schema = {.is_some = true, .val = text_copy(settings_schema)},
    };
}

bool exports_wharfinger_pipeline_stage_validate_settings(
    text *settings, stage_component_list_string_t *faults) {
    settings_read(*settings, faults);
    return faults->len == 0;
}

// The value of a label; NULL if the container does not have it.
static const text *label(const wharfinger_pipeline_types_container_t *container, text key) {
    for (size_t i = 0; i < container->labels.len; i++)
        if (text_equal(container->labels.ptr[i].key, key)) return &container->labels.ptr[i].value;
    return NULL;
}

static void warn(text message) {
    wharfinger_pipeline_logging_log(WHARFINGER_PIPELINE_LOGGING_LEVEL_WARN, &message);
}

// <team>-<app>; a name that already is of that form stays.
static verdict rename(text prefix, service service) {
    if (text_starts_with(service.name, prefix))
        return (verdict){.tag = WHARFINGER_PIPELINE_TYPES_VERDICT_KEEP};
    service.name = text_join(&prefix, &service.name, NULL);
    return (verdict){.tag = WHARFINGER_PIPELINE_TYPES_VERDICT_REPLACE, .val.replace = service};
}

static verdict without_team(const struct settings *settings) {
    if (!settings->required) return (verdict){.tag = WHARFINGER_PIPELINE_TYPES_VERDICT_KEEP};
    text words = text_copy("the container has no label ");
    text reason = text_join(&words, &settings->label, NULL);
    return (verdict){.tag = WHARFINGER_PIPELINE_TYPES_VERDICT_VETO, .val.veto = reason};
}

bool exports_wharfinger_pipeline_stage_process(
    text *given, exports_wharfinger_pipeline_stage_container_t *container,
    exports_wharfinger_pipeline_stage_host_facts_t *host,
    exports_wharfinger_pipeline_stage_list_service_t *services,
    exports_wharfinger_pipeline_stage_outcome_t *outcome, text *error) {
    (void)host;
    (void)error;
    stage_component_list_string_t faults;
    struct settings settings = settings_read(*given, &faults);

    const text *value = label(container, settings.label);
    text team = value == NULL ? (text){0} : text_trim(*value);
    if (value != NULL && team.len == 0) {
        text before = text_copy("the label "), after = text_copy(" is empty");
        warn(text_join(&before, &settings.label, &after, NULL));
    }
    text prefix = text_join(&team, &settings.separator, NULL);

    verdict *verdicts = allocate(services->len, sizeof(verdict));
    for (size_t i = 0; i < services->len; i++)
        verdicts[i] = team.len > 0 ? rename(prefix, services->ptr[i]) : without_team(&settings);
    *outcome = (exports_wharfinger_pipeline_stage_outcome_t){.verdicts = {verdicts, services->len}};
    return true;
}
