// The stage.
package main

import (
	"encoding/json"
	"sort"

	"team-naming/contract"
)

// TeamNaming is the stage.
type TeamNaming struct{}

func init() { contract.Export(TeamNaming{}) }

// A library has none, but the compiler wants one.
func main() {}

// Describe says what the stage is.
func (TeamNaming) Describe() contract.Description {
	return contract.Description{
		Name:    "team-naming",
		Version: "0.1.0",
		Summary: "Keeps every service as it is.",
	}
}

// ValidateSettings says all that is wrong with the settings, of which there are none yet.
func (TeamNaming) ValidateSettings(text string) []string {
	var given map[string]json.RawMessage
	if json.Unmarshal([]byte(text), &given) != nil || given == nil {
		return []string{"the settings must be a table"}
	}
	var faults []string
	for key := range given {
		faults = append(faults, key+": there is no such setting")
	}
	sort.Strings(faults)
	return faults
}

// Process decides on the services of one container.
func (TeamNaming) Process(
	_ string, container *contract.Container, _ *contract.HostFacts, services []contract.Service,
) (*contract.Outcome, error) {
	verdicts := make([]contract.Verdict, len(services))
	for i, service := range services {
		verdicts[i] = decide(container, service)
	}
	return &contract.Outcome{Verdicts: verdicts}, nil
}

// decide is the rule for one service: Keep(), Replace(service) or Veto(reason).
func decide(_ *contract.Container, _ contract.Service) contract.Verdict {
	return contract.Keep()
}
