// The stage: services are named <team>-<app>, where a label of the container
// names the team.
//
// The functions are those of the contract in wit/, and the types are declared
// in bindings/stage_component.h. A function whose WIT result may be an error
// returns true if it is right.

#include "settings.h"
#include "text.h"
#include "verdict.h"

void exports_wharfinger_pipeline_stage_describe(
    exports_wharfinger_pipeline_stage_description_t *answer) {
    *answer = (exports_wharfinger_pipeline_stage_description_t){
        .name = text_copy("team-naming"),
        .version = text_copy("0.1.0"),
        .summary = text_copy("Names services <team>-<app>."),
        .settings_schema = {.is_some = true, .val = text_copy(settings_schema)},
        // With WHARFINGER_PIPELINE_TYPES_FACTS_SETUP and the like it is shown more than the container
        // and its services.
        .wants = 0,
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
    if (text_starts_with(service.name, prefix)) return keep();
    service.name = text_join(&prefix, &service.name, NULL);
    return replace(service);
}

static verdict without_team(const struct settings *settings) {
    if (!settings->required) return keep();
    text words = text_copy("the container has no label ");
    return veto(text_join(&words, &settings->label, NULL));
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
