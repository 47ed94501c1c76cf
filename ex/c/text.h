// Strings of the contract: bytes in UTF-8 and their number, without a final NUL.
//
// What these functions return was allocated and is never freed: the instance,
// with all of its memory, ends when the call does.
#pragma once

#include "bindings/stage_component.h"

typedef stage_component_string_t text;

// A copy of a C string.
text text_copy(const char *string);

// The parts one after the other; the last argument is NULL.
text text_join(const text *part, ...);

// Without the white space at both ends; it shares the bytes of `whole`.
text text_trim(text whole);

bool text_equal(text left, text right);
bool text_starts_with(text whole, text prefix);

// Memory for `count` values of `size` bytes; traps if there is none.
void *allocate(size_t count, size_t size);
