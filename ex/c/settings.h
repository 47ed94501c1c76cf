// What the operator can set.
#pragma once

#include "text.h"

struct settings {
    // The label that names the team.
    text label;
    // What stands between the team and the application.
    text separator;
    // Whether a container without the label is vetoed.
    bool required;
};

// The JSON schema of the settings, which `wharfinger plugin inspect` shows.
extern const char settings_schema[];

// Read the settings, with their defaults, and say all that is wrong with them.
struct settings settings_read(text json, stage_component_list_string_t *faults);
