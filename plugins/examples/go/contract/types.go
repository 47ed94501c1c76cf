// Package contract has the types of the contract in wit/, and what makes a stage of a type of yours.
//
// A record is a struct with the contract's fields in their order, a list a slice, an option a
// pointer, an enum a number with named values. A variant is a struct of pointers, of which one is
// set, or none for a case without a value.
package contract

// Stage is what a plugin does.
type Stage interface {
	// Describe says what the stage is.
	Describe() Description
	// ValidateSettings says all that is wrong with the settings, given as JSON.
	ValidateSettings(settings string) []string
	// Process decides on the services that are proposed for a container. An error means that the
	// stage could not decide; the container then keeps the registrations it has.
	Process(settings string, container *Container, host *HostFacts, services []Service) (*Outcome, error)
}

// Attribute is a key with its value.
type Attribute struct {
	Key   string
	Value string
}

// Protocol is a transport protocol of a port.
type Protocol uint8

// The protocols.
const (
	TCP Protocol = iota
	UDP
	SCTP
)

func (Protocol) values() uint8 { return 3 }

// ExposedPort is a port that the image or the container's configuration declares.
type ExposedPort struct {
	Port     uint16
	Protocol Protocol
}

// PublishedPort is a container port that is reachable through an address of the host.
type PublishedPort struct {
	ContainerPort uint16
	Protocol      Protocol
	HostIP        string
	HostPort      uint16
}

// Network is a network that a container is attached to.
type Network struct {
	Name    string
	ID      string
	IPv4    *string
	IPv6    *string
	Aliases []string
}

// Health is what Docker's HEALTHCHECK says of a container.
type Health uint8

// What a health check says; NoHealth is a container without one.
const (
	NoHealth Health = iota
	Starting
	Healthy
	Unhealthy
)

func (Health) values() uint8 { return 4 }

// State is where a container is in its life.
type State uint8

// The states.
const (
	Created State = iota
	Running
	Paused
	Restarting
	Removing
	Exited
	Dead
	OtherState
)

func (State) values() uint8 { return 8 }

// NetworkPeer is the container whose network a container shares.
type NetworkPeer struct {
	ID             string
	Name           string
	NetworkMode    string
	Networks       []Network
	PublishedPorts []PublishedPort
}

// Container is what is known of a container.
type Container struct {
	ID             string
	Name           string
	Image          string
	ImageID        string
	Hostname       string
	Env            []Attribute
	Labels         []Attribute
	ExposedPorts   []ExposedPort
	PublishedPorts []PublishedPort
	Networks       []Network
	NetworkMode    string
	NetworkPeer    *NetworkPeer
	State          State
	ExitCode       int64
	Health         Health
	CreatedAt      string
	StartedAt      *string
	Attributes     []Attribute
}

// Label is the value of a label, and whether the container has it.
func (c *Container) Label(key string) (string, bool) {
	for _, label := range c.Labels {
		if label.Key == key {
			return label.Value, true
		}
	}
	return "", false
}

// HostFacts is what is known of the host that the containers run on.
type HostFacts struct {
	Hostname   string
	Address    *string
	Flags      []Attribute
	Attributes []Attribute
}

// CheckStatus is the state of a check until it has run for the first time.
type CheckStatus uint8

// The states of a check.
const (
	Passing CheckStatus = iota
	Warning
	Critical
)

func (CheckStatus) values() uint8 { return 3 }

// HTTPCheck is a request over HTTP.
type HTTPCheck struct {
	URL           string
	Method        *string
	Headers       []Attribute
	Body          string
	TLSSkipVerify bool
	TLSServerName *string
}

// TCPCheck is a connection over TCP, to host:port.
type TCPCheck struct{ Address string }

// UDPCheck is a datagram over UDP, to host:port.
type UDPCheck struct{ Address string }

// GRPCCheck is the standard gRPC health protocol.
type GRPCCheck struct {
	Target        string
	UseTLS        bool
	TLSSkipVerify bool
	TLSServerName *string
}

// H2PingCheck is a ping over HTTP/2.
type H2PingCheck struct {
	Address       string
	UseTLS        bool
	TLSSkipVerify bool
}

// ScriptCheck is a program that the Consul agent starts.
type ScriptCheck struct{ Args []string }

// DockerCheck is a program that the Consul agent starts inside a container.
type DockerCheck struct {
	ContainerID string
	Shell       *string
	Args        []string
}

// TTLCheck is a state that somebody has to report in time.
type TTLCheck struct{ TTL string }

// AliasCheck is the state of another node or service in Consul.
type AliasCheck struct {
	Node    *string
	Service *string
}

// CheckKind is what a check does: one of the pointers is set.
type CheckKind struct {
	variant
	HTTP      *HTTPCheck
	TCP       *TCPCheck
	UDP       *UDPCheck
	GRPC      *GRPCCheck
	H2Ping    *H2PingCheck
	Script    *ScriptCheck
	Docker    *DockerCheck
	TTL       *TTLCheck
	Alias     *AliasCheck
	OSService *string
}

// Check is a health check of a service, as the Consul agent runs it. Durations are written as Go
// writes them.
type Check struct {
	ID                     *string
	Name                   *string
	Notes                  *string
	Kind                   CheckKind
	Interval               *string
	Timeout                *string
	InitialStatus          *CheckStatus
	DeregisterAfter        *string
	SuccessBeforePassing   *uint32
	FailuresBeforeCritical *uint32
	Attributes             []Attribute
}

// Weights is how much of the traffic a service gets by its state.
type Weights struct {
	Passing uint32
	Warning uint32
}

// TaggedAddress is a further address of a service.
type TaggedAddress struct {
	Tag     string
	Address string
	Port    uint16
}

// Origin is the container's port that a service stands for.
type Origin struct {
	ContainerPort uint16
	Protocol      Protocol
	Published     *PublishedPort
}

// Service is a service as it is to be registered.
type Service struct {
	ID                string
	Name              string
	Address           string
	Port              uint16
	Protocol          Protocol
	Tags              []string
	Meta              []Attribute
	Checks            []Check
	Weights           *Weights
	EnableTagOverride bool
	TaggedAddresses   []TaggedAddress
	Origin            *Origin
	Attributes        []Attribute
}

// Verdict is what a stage says of one proposed service; made by Keep, Replace and Veto.
type Verdict struct {
	variant
	Keep    *struct{}
	Replace *Service
	Veto    *string
}

// Keep leaves a service as it is.
func Keep() Verdict { return Verdict{Keep: &struct{}{}} }

// Replace puts this service in the place of the proposed one.
func Replace(service Service) Verdict { return Verdict{Replace: &service} }

// Veto says that a service must not be registered, for this reason.
func Veto(reason string) Verdict { return Verdict{Veto: &reason} }

// Outcome is what a stage says of all proposed services: a verdict for each, in their order, and
// the services that it adds.
type Outcome struct {
	Verdicts []Verdict
	Added    []Service
}

// Description is what a stage says of itself.
type Description struct {
	Name           string
	Version        string
	Summary        string
	SettingsSchema *string
	Attributes     []Attribute
}

// Level is how urgent a message is.
type Level uint8

// The levels.
const (
	Trace Level = iota
	Debug
	Info
	Warn
	Error
)

// variant marks a struct whose other fields are the cases of a variant.
type variant struct{}
