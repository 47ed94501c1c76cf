#include "verdict.h"

verdict keep(void) {
    return (verdict){.decision.tag = WHARFINGER_PIPELINE_TYPES_DECISION_KEEP};
}

verdict replace(service service) {
    verdict replaced = {.decision.tag = WHARFINGER_PIPELINE_TYPES_DECISION_REPLACE};
    replaced.decision.val.replace = service;
    return replaced;
}

verdict veto(text reason) {
    verdict vetoed = {.decision.tag = WHARFINGER_PIPELINE_TYPES_DECISION_VETO};
    vetoed.decision.val.veto.reason = reason;
    return vetoed;
}

verdict veto_coded(text reason, const char *code) {
    verdict vetoed = veto(reason);
    vetoed.decision.val.veto.code.is_some = true;
    vetoed.decision.val.veto.code.val = text_copy(code);
    return vetoed;
}

verdict note(verdict verdict, text words) {
    text *longer = allocate(verdict.notes.len + 1, sizeof(text));
    for (size_t i = 0; i < verdict.notes.len; i++) longer[i] = verdict.notes.ptr[i];
    longer[verdict.notes.len++] = words;
    verdict.notes.ptr = longer;
    return verdict;
}
