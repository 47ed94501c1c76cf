#include "json.h"

#include <stdlib.h>
#include <string.h>

// The next byte that is no white space, without taking it.
static uint8_t peek(struct json *json) {
    while (json->at < json->end && *json->at != 0 && strchr(" \t\r\n", *json->at) != NULL)
        json->at++;
    return json->at < json->end ? *json->at : 0;
}

static uint8_t take(struct json *json) {
    if (json->at >= json->end) abort();
    return *json->at++;
}

static uint32_t hexadecimal(struct json *json) {
    uint32_t value = 0;
    for (int digit = 0; digit < 4; digit++) {
        uint8_t byte = take(json);
        if (byte >= '0' && byte <= '9') value = value * 16 + (byte - '0');
        else if ((byte | 32) >= 'a' && (byte | 32) <= 'f') value = value * 16 + ((byte | 32) - 'a' + 10);
        else abort();
    }
    return value;
}

// Append a code point in UTF-8.
static uint8_t *append(uint8_t *end, uint32_t code) {
    if (code < 0x80) {
        *end++ = code;
    } else if (code < 0x800) {
        *end++ = 0xc0 | code >> 6;
        *end++ = 0x80 | (code & 0x3f);
    } else if (code < 0x10000) {
        *end++ = 0xe0 | code >> 12;
        *end++ = 0x80 | (code >> 6 & 0x3f);
        *end++ = 0x80 | (code & 0x3f);
    } else {
        *end++ = 0xf0 | code >> 18;
        *end++ = 0x80 | (code >> 12 & 0x3f);
        *end++ = 0x80 | (code >> 6 & 0x3f);
        *end++ = 0x80 | (code & 0x3f);
    }
    return end;
}

static uint8_t *unescape(struct json *json, uint8_t *end) {
    uint8_t byte = take(json);
    const char *plain = strchr("b\bf\fn\nr\rt\t\"\"\\\\//", byte);
    if (byte != 'u') {
        if (byte == 0 || plain == NULL) abort();
        *end++ = plain[1];
        return end;
    }
    uint32_t code = hexadecimal(json);
    if (code >= 0xd800 && code < 0xdc00) {
        if (take(json) != '\\' || take(json) != 'u') abort();
        code = 0x10000 + ((code - 0xd800) << 10) + (hexadecimal(json) - 0xdc00);
    }
    return append(end, code);
}

static text string(struct json *json) {
    if (take(json) != '"') abort();
    // An escape is never shorter than what it stands for.
    text read = {.ptr = allocate(json->end - json->at, 1)};
    uint8_t *end = read.ptr;
    for (uint8_t byte = take(json); byte != '"'; byte = take(json)) {
        if (byte == '\\') end = unescape(json, end);
        else *end++ = byte;
    }
    read.len = end - read.ptr;
    return read;
}

// Pass over a number, null, an array or an object.
static void skip(struct json *json) {
    int depth = 0;
    for (uint8_t byte = peek(json); byte != 0; byte = peek(json)) {
        if (depth == 0 && (byte == ',' || byte == '}')) return;
        if (byte == '"') {
            string(json);
            continue;
        }
        if (byte == '[' || byte == '{') depth++;
        if (byte == ']' || byte == '}') depth--;
        json->at++;
    }
    abort();
}

bool json_object(struct json *json, text from) {
    *json = (struct json){from.ptr, from.ptr + from.len};
    if (peek(json) != '{') return false;
    json->at++;
    return true;
}

bool json_next(struct json *json, struct json_member *member) {
    uint8_t first = peek(json);
    if (first == '}') return false;
    if (first == ',') json->at++;
    peek(json);
    *member = (struct json_member){.key = string(json), .kind = JSON_OTHER};
    if (peek(json) != ':') abort();
    json->at++;
    switch (peek(json)) {
    case '"':
        member->kind = JSON_STRING;
        member->string = string(json);
        break;
    case 't':
    case 'f':
        member->kind = JSON_BOOLEAN;
        member->boolean = *json->at == 't';
        skip(json);
        break;
    default:
        skip(json);
    }
    return true;
}
