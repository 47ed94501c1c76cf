package main

import (
	"strings"

	"team-naming/contract"
)

// decide is the rule: a verdict for each service, in their order.
func decide(settings Settings, container *contract.Container, services []contract.Service) []contract.Verdict {
	label, has := container.Label(settings.Label)
	team := strings.TrimSpace(label)
	if team == "" && has {
		contract.Log(contract.Warn, "the label %s is empty", settings.Label)
	}
	verdicts := make([]contract.Verdict, len(services))
	for i, service := range services {
		switch {
		case team != "":
			verdicts[i] = rename(team+settings.Separator, service)
		case settings.Required:
			verdicts[i] = contract.Veto("the container has no label " + settings.Label)
		default:
			verdicts[i] = contract.Keep()
		}
	}
	return verdicts
}

// rename makes it <team>-<app>; a name that already is of that form stays.
func rename(prefix string, service contract.Service) contract.Verdict {
	if strings.HasPrefix(service.Name, prefix) {
		return contract.Keep()
	}
	service.Name = prefix + service.Name
	return contract.Replace(service)
}
