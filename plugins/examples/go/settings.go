package main

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"
)

// Settings is what the operator can set.
type Settings struct {
	// The label that names the team.
	Label string
	// What stands between the team and the application.
	Separator string
	// Whether a container without the label is vetoed.
	Required bool
}

// The JSON schema of the settings, which `wharfinger plugin inspect` shows.
const schema = `{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"team-naming",` +
	`"type":"object","additionalProperties":false,"properties":{` +
	`"label":{"type":"string","minLength":1,"default":"team","description":"The label that names the team."},` +
	`"separator":{"type":"string","minLength":1,"default":"-",` +
	`"description":"What stands between the team and the application."},` +
	`"required":{"type":"boolean","default":false,` +
	`"description":"Whether a container without the label is vetoed."}}}`

// readSettings reads the settings from JSON, with their defaults, and says all that is wrong with them.
func readSettings(text string) (Settings, []string) {
	settings := Settings{Label: "team", Separator: "-"}
	var given map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &given) != nil || given == nil {
		return settings, []string{"the settings must be a table"}
	}
	var faults []string
	for key, value := range given {
		if fault := settings.set(key, value); fault != "" {
			faults = append(faults, key+": "+fault)
		}
	}
	sort.Strings(faults)
	return settings, faults
}

// set says what is wrong with a value, if anything is.
func (s *Settings) set(key string, value json.RawMessage) string {
	switch key {
	case "label":
		return setText(&s.Label, value)
	case "separator":
		return setText(&s.Separator, value)
	case "required":
		if json.Unmarshal(value, &s.Required) != nil || bytes.Equal(value, []byte("null")) {
			return "must be a boolean"
		}
		return ""
	}
	return "there is no such setting; known are label, separator, required"
}

func setText(setting *string, value json.RawMessage) string {
	if json.Unmarshal(value, setting) != nil || bytes.Equal(value, []byte("null")) {
		return "must be a string"
	}
	if strings.TrimSpace(*setting) == "" {
		return "must not be empty"
	}
	return ""
}
