package main

import (
	"reflect"
	"testing"

	"team-naming/contract"
)

// what says in a word what becomes of a service of this name.
func what(settings string, name string, labels ...contract.Attribute) string {
	read, faults := readSettings(settings)
	if len(faults) > 0 {
		return faults[0]
	}
	container := &contract.Container{Labels: labels}
	verdict := decide(read, container, []contract.Service{{Name: name}})[0]
	switch {
	case verdict.Decision.Replace != nil:
		return verdict.Decision.Replace.Name
	case verdict.Decision.Veto != nil:
		return "veto: " + verdict.Decision.Veto.Reason
	}
	return "keep"
}

func TestTheTeamNamesTheService(t *testing.T) {
	team := func(value string) contract.Attribute { return contract.Attribute{Key: "team", Value: value} }
	for _, one := range []struct {
		settings, name string
		labels         []contract.Attribute
		expected       string
	}{
		{`{}`, "web", []contract.Attribute{team("shop")}, "shop-web"},
		{`{}`, "web", []contract.Attribute{team(" shop ")}, "shop-web"},
		{`{}`, "shop-web", []contract.Attribute{team("shop")}, "keep"},
		{`{"separator": "."}`, "web", []contract.Attribute{team("shop")}, "shop.web"},
		{`{"label": "org"}`, "web", []contract.Attribute{team("shop"), {Key: "org", Value: "pay"}}, "pay-web"},
		{`{}`, "web", nil, "keep"},
		{`{}`, "web", []contract.Attribute{team(" ")}, "keep"},
		{`{"required": true}`, "web", nil, "veto: the container has no label team"},
	} {
		if found := what(one.settings, one.name, one.labels...); found != one.expected {
			t.Errorf("%+v: %s", one, found)
		}
	}
}

func TestFaultsOfTheSettingsAreSaid(t *testing.T) {
	for settings, expected := range map[string][]string{
		`{}`:                             nil,
		`[]`:                             {"the settings must be a table"},
		`{"label": " ", "required": 1}`:  {"label: must not be empty", "required: must be a boolean"},
		`{"lable": "x"}`:                 {"lable: there is no such setting; known are label, separator, required"},
	} {
		if _, found := readSettings(settings); !reflect.DeepEqual(found, expected) {
			t.Errorf("%s: %q", settings, found)
		}
	}
}
