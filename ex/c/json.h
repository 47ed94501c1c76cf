// Reads a JSON object of strings and booleans, which is all that settings of
// this plugin are. The daemon hands over sound JSON; what is not ends the call.
#pragma once

#include "text.h"

enum json_kind { JSON_STRING, JSON_BOOLEAN, JSON_OTHER };

struct json_member {
    text key;
    enum json_kind kind;
    text string;
    bool boolean;
};

// What is left to read.
struct json {
    const uint8_t *at;
    const uint8_t *end;
};

// Step into an object; false if the text is not one.
bool json_object(struct json *json, text from);

// The object's next member; false after the last one.
bool json_next(struct json *json, struct json_member *member);
