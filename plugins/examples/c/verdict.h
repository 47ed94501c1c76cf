// What a stage says of one proposed service, in the contract's form.
#pragma once

#include "text.h"

typedef wharfinger_pipeline_types_service_t service;
typedef wharfinger_pipeline_types_verdict_t verdict;

// It stays as it is.
verdict keep(void);

// This service takes its place.
verdict replace(service service);

// It must not be registered: the reason is for people.
verdict veto(text reason);

// The same with a code for figures, such as "privileged", one of few.
verdict veto_coded(text reason, const char *code);

// The same verdict with one more note, for people who ask why.
verdict note(verdict verdict, text words);
