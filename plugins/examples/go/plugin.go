// The stage: services are named <team>-<app>, where a label of the container names the team.
package main

import "team-naming/contract"

// TeamNaming is the stage.
type TeamNaming struct{}

func init() { contract.Export(TeamNaming{}) }

// A library has none, but the compiler wants one.
func main() {}

// Describe says what the stage is.
func (TeamNaming) Describe() contract.Description {
	settings := schema
	return contract.Description{
		Name:           "team-naming",
		Version:        "0.1.0",
		Summary:        "Names services <team>-<app>.",
		SettingsSchema: &settings,
	}
}

// ValidateSettings says all that is wrong with the settings.
func (TeamNaming) ValidateSettings(text string) []string {
	_, faults := readSettings(text)
	return faults
}

// Process decides on the services of one container.
func (TeamNaming) Process(
	text string, container *contract.Container, _ *contract.HostFacts, services []contract.Service,
) (*contract.Outcome, error) {
	settings, _ := readSettings(text)
	return &contract.Outcome{Verdicts: decide(settings, container, services)}, nil
}
