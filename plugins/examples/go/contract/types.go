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
	// ImageFacts is nil if the stage does not want WantImage, or the engine does not tell.
	ImageFacts *ImageFacts
	// Setup is nil if the stage does not want WantSetup.
	Setup      *Setup
	Attributes []Attribute
}

// ImageFacts is what is known of the image that a container was made of.
type ImageFacts struct {
	Digests []string
	Labels  []Attribute
}

// Mount is something of the host or of the engine that a container sees as a part of its files.
type Mount struct {
	Kind     string
	Source   string
	Target   string
	Writable bool
}

// RestartPolicy is when the engine starts a container again by itself.
type RestartPolicy struct {
	Name    string
	Retries uint32
}

// ResourceLimits is what a container may use; nil where it has no limit of its own.
type ResourceLimits struct {
	Memory     *uint64
	Processors *uint64
	Processes  *uint64
}

// HealthCheck is the health check that a container was given.
type HealthCheck struct {
	Test        []string
	Interval    *string
	Timeout     *string
	StartPeriod *string
	Retries     *uint32
}

// Setup is what a container may do, and what it was made with.
type Setup struct {
	User                string
	Privileged          bool
	AddedCapabilities   []string
	DroppedCapabilities []string
	ReadOnlyRoot        bool
	Mounts              []Mount
	RestartPolicy       RestartPolicy
	Limits              ResourceLimits
	HealthCheck         *HealthCheck
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
	Hostname string
	Address  *string
	Flags    []Attribute
	// Agent is nil if the stage does not want WantAgent, or may not know.
	Agent *AgentFacts
	// Engine is nil if the stage does not want WantEngine, or it is not known.
	Engine     *EngineFacts
	Attributes []Attribute
}

// AgentFacts is the Consul agent that services are registered with.
type AgentFacts struct {
	Node       string
	Datacenter string
	Version    string
	NodeMeta   []Attribute
}

// EngineFacts is the container engine.
type EngineFacts struct {
	Kind    string
	Version string
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

// NamedPort is one of several ports of a service, by its name.
type NamedPort struct {
	Name    string
	Port    uint16
	Default bool
}

// Locality is where a service runs, for those who prefer what is near.
type Locality struct {
	Region string
	Zone   *string
}

// Upstream is a service that a proxy reaches for the one that it stands before.
type Upstream struct {
	DestinationName  string
	Datacenter       *string
	LocalBindAddress *string
	LocalBindPort    uint16
	Definition       []Attribute
}

// Proxy is what a proxy or gateway stands before.
type Proxy struct {
	DestinationServiceName string
	DestinationServiceID   *string
	LocalServiceAddress    *string
	LocalServicePort       *uint16
	Upstreams              []Upstream
	Config                 []Attribute
	Definition             []Attribute
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
	Ports             []NamedPort
	Locality          *Locality
	SocketPath        *string
	Kind              string
	Proxy             *Proxy
	ConnectNative     bool
	Definition        []Attribute
	Attributes        []Attribute
}

// Objection is why a service must not be registered: for people, and as a short word for figures.
type Objection struct {
	Reason string
	Code   *string
}

// Decision is what becomes of one proposed service: one of the pointers is set.
type Decision struct {
	variant
	Keep    *struct{}
	Replace *Service
	Veto    *Objection
}

// Verdict is what a stage says of one proposed service; made by Keep, Replace, Veto and VetoCode.
type Verdict struct {
	Decision Decision
	// Notes are for people who ask why, a sentence each.
	Notes []string
}

// Keep leaves a service as it is.
func Keep() Verdict { return Verdict{Decision: Decision{Keep: &struct{}{}}} }

// Replace puts this service in the place of the proposed one.
func Replace(service Service) Verdict { return Verdict{Decision: Decision{Replace: &service}} }

// Veto says that a service must not be registered, for this reason.
func Veto(reason string) Verdict {
	return Verdict{Decision: Decision{Veto: &Objection{Reason: reason}}}
}

// VetoCode is the same with a short word for figures, such as "privileged", one of few.
func VetoCode(reason, code string) Verdict {
	return Verdict{Decision: Decision{Veto: &Objection{Reason: reason, Code: &code}}}
}

// Note is the same verdict with a note for people.
func (v Verdict) Note(text string) Verdict {
	v.Notes = append(v.Notes, text)
	return v
}

// Outcome is what a stage says of all proposed services: a verdict for each, in their order, and
// the services that it adds.
type Outcome struct {
	Verdicts []Verdict
	Added    []Service
}

// Facts says which facts a stage wants beyond a container and its services: several of them with |.
type Facts uint8

// The facts. Image and setup are the container's, agent and engine the host's.
const (
	WantImage Facts = 1 << iota
	WantSetup
	WantAgent
	WantEngine
)

// Description is what a stage says of itself.
type Description struct {
	Name           string
	Version        string
	Summary        string
	SettingsSchema *string
	// Wants is what it has to be shown; what it does not want is nil for it.
	Wants      Facts
	Attributes []Attribute
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
