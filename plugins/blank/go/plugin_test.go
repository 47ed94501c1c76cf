package main

import (
	"reflect"
	"testing"

	"team-naming/contract"
)

func TestServicesStayAsTheyAre(t *testing.T) {
	verdict := decide(&contract.Container{}, contract.Service{Name: "web"})
	if !reflect.DeepEqual(verdict, contract.Keep()) {
		t.Errorf("%+v", verdict)
	}
}

func TestASettingThatThereIsNotIsAFault(t *testing.T) {
	for settings, expected := range map[string][]string{
		`{}`:           nil,
		`[]`:           {"the settings must be a table"},
		`{"lable": 1}`: {"lable: there is no such setting"},
	} {
		if found := (TeamNaming{}).ValidateSettings(settings); !reflect.DeepEqual(found, expected) {
			t.Errorf("%s: %q", settings, found)
		}
	}
}
