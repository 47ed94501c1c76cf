// The contract in wit/, in the form in which jco generates its guest types (1.35), with optional values
// and 64-bit integers as QuickJS has them: null where there is none, and numbers.

declare module 'wharfinger:pipeline/types@0.2.0' {
  /**
   * A key with its value. Keys are unique within a list unless it is said
   * otherwise.
   */
  export interface Attribute {
    key: string,
    value: string,
  }
  /**
   * A transport protocol of a port.
   * # Variants
   *
   * ## `"tcp"`
   *
   * ## `"udp"`
   *
   * ## `"sctp"`
   */
  export type Protocol = 'tcp' | 'udp' | 'sctp';
  /**
   * A port that the image or the container's configuration declares
   * (`EXPOSE`, `--expose`), whether or not it is published.
   */
  export interface ExposedPort {
    /**
     * The port inside the container.
     */
    port: number,
    protocol: Protocol,
  }
  /**
   * A container port that is reachable through an address of the host. A
   * port that is published on several host addresses occurs once for each.
   */
  export interface PublishedPort {
    /**
     * The port inside the container.
     */
    containerPort: number,
    protocol: Protocol,
    /**
     * The host's address as Docker says it, `0.0.0.0` or `::` where it is
     * published on every address.
     */
    hostIp: string,
    /**
     * The port on the host.
     */
    hostPort: number,
  }
  /**
   * A network that a container is attached to.
   */
  export interface Network {
    /**
     * The network's name, such as `bridge` or `shop_default`.
     */
    name: string,
    /**
     * Docker's identifier of the network; empty where it is not known.
     */
    id: string,
    /**
     * The container's IPv4 address in this network.
     */
    ipv4?: string | null,
    /**
     * The container's global IPv6 address in this network.
     */
    ipv6?: string | null,
    /**
     * The names that resolve to the container in this network.
     */
    aliases: Array<string>,
  }
  /**
   * What Docker's `HEALTHCHECK` says of a container.
   * # Variants
   *
   * ## `"none"`
   *
   * The container has no health check.
   *
   * ## `"starting"`
   *
   * ## `"healthy"`
   *
   * ## `"unhealthy"`
   */
  export type Health = 'none' | 'starting' | 'healthy' | 'unhealthy';
  /**
   * Where a container is in its life.
   * # Variants
   *
   * ## `"created"`
   *
   * ## `"running"`
   *
   * ## `"paused"`
   *
   * ## `"restarting"`
   *
   * ## `"removing"`
   *
   * ## `"exited"`
   *
   * ## `"dead"`
   *
   * ## `"other"`
   *
   * A state that this version of the contract has no name for.
   */
  export type State = 'created' | 'running' | 'paused' | 'restarting' | 'removing' | 'exited' | 'dead' | 'other';
  /**
   * What is known of the image that a container was made of.
   */
  export interface ImageFacts {
    /**
     * By which names and digests registries have it, such as
     * `registry.local:5000/team/web@sha256:2bdd01bb…`, sorted. Empty for an
     * image that never was in a registry.
     */
    digests: Array<string>,
    /**
     * The labels that the image itself has, sorted by key. The container
     * has them among its own, unless it was given others of the same keys.
     */
    labels: Array<Attribute>,
  }
  /**
   * Something of the host or of the engine that a container sees as a part
   * of its files.
   */
  export interface Mount {
    /**
     * `bind`, `volume`, `tmpfs` or another word of the engine's.
     */
    kind: string,
    /**
     * Where it is on the host; for a volume its name. Empty for a `tmpfs`.
     */
    source: string,
    /**
     * Where the container has it.
     */
    target: string,
    /**
     * The container may write to it.
     */
    writable: boolean,
  }
  /**
   * When the engine starts a container again by itself.
   */
  export interface RestartPolicy {
    /**
     * `no`, `always`, `unless-stopped` or `on-failure`.
     */
    name: string,
    /**
     * How often after failures in a row; 0 for no limit.
     */
    retries: number,
  }
  /**
   * What a container may use; none where it has no limit of its own.
   */
  export interface ResourceLimits {
    /**
     * Memory in bytes.
     */
    memory?: number | null,
    /**
     * Processors in thousandths: 1500 are one and a half.
     */
    processors?: number | null,
    /**
     * Processes and threads.
     */
    processes?: number | null,
  }
  /**
   * The health check that a container was given, by its image or otherwise.
   */
  export interface HealthCheck {
    /**
     * As the engine says it: `CMD` and a program with its arguments, or
     * `CMD-SHELL` and a line for a shell.
     */
    test: Array<string>,
    /**
     * The time between two runs; the engine's own if none.
     */
    interval?: Duration | null,
    /**
     * How long a run may take; the engine's own if none.
     */
    timeout?: Duration | null,
    /**
     * How long failures do not count after the start.
     */
    startPeriod?: Duration | null,
    /**
     * Failures in a row that make it unhealthy; the engine's own if none.
     */
    retries?: number | null,
  }
  /**
   * The container whose network a container shares
   * (`--network container:<name>`).
   */
  export interface NetworkPeer {
    /**
     * The full identifier of the container that owns the network.
     */
    id: string,
    /**
     * Its name, without the leading slash.
     */
    name: string,
    /**
     * Its network mode.
     */
    networkMode: string,
    /**
     * The networks that it is attached to.
     */
    networks: Array<Network>,
    /**
     * The ports that it publishes.
     */
    publishedPorts: Array<PublishedPort>,
  }
  /**
   * What a container may do, and what it was made with.
   */
  export interface Setup {
    /**
     * The user that its processes begin as, such as `app`, `1000` or
     * `1000:1000`; empty for root.
     */
    user: string,
    /**
     * It has every capability and the devices of the host.
     */
    privileged: boolean,
    /**
     * Capabilities beyond the engine's own choice, sorted, in capitals and
     * without `CAP_`, such as `NET_ADMIN`; or `ALL`.
     */
    addedCapabilities: Array<string>,
    /**
     * Capabilities that were taken from it, in the same form.
     */
    droppedCapabilities: Array<string>,
    /**
     * It cannot write to the files of its image.
     */
    readOnlyRoot: boolean,
    /**
     * Sorted by target.
     */
    mounts: Array<Mount>,
    restartPolicy: RestartPolicy,
    limits: ResourceLimits,
    /**
     * None if it has no health check.
     */
    healthCheck?: HealthCheck | null,
  }
  /**
   * What is known of a container.
   */
  export interface Container {
    /**
     * The full identifier, 64 hexadecimal digits.
     */
    id: string,
    /**
     * The name without the leading slash.
     */
    name: string,
    /**
     * The image reference as it was given when the container was made,
     * such as `registry.local:5000/team/web:1.2`.
     */
    image: string,
    /**
     * The image's identifier, such as `sha256:2bdd01bb…`.
     */
    imageId: string,
    /**
     * The host name inside the container.
     */
    hostname: string,
    /**
     * The environment in the container's own order. Only the variables
     * that the operator lets this stage see. A name can occur twice; for
     * the container the last one counts.
     */
    env: Array<Attribute>,
    /**
     * The labels, sorted by key. The labels of Compose and Swarm are
     * among them (`com.docker.compose.project`,
     * `com.docker.swarm.service.name`, …).
     */
    labels: Array<Attribute>,
    /**
     * Sorted by port, then protocol.
     */
    exposedPorts: Array<ExposedPort>,
    /**
     * Sorted by container port, then protocol; several host addresses of
     * one port are in Docker's order.
     */
    publishedPorts: Array<PublishedPort>,
    /**
     * Sorted by name.
     */
    networks: Array<Network>,
    /**
     * `bridge`, `default`, `host`, `none`, `container:<id>` or the name
     * of a user-defined network.
     */
    networkMode: string,
    /**
     * The owner of the network if the mode is `container:<id>`.
     */
    networkPeer?: NetworkPeer | null,
    state: State,
    /**
     * The exit code of the last run; 0 while the container runs.
     */
    exitCode: number,
    health: Health,
    /**
     * When the container was created, RFC 3339.
     */
    createdAt: string,
    /**
     * When it was last started, RFC 3339; none if it never was.
     */
    startedAt?: string | null,
    /**
     * What is known of its image; none if the stage does not want `image`, or
     * the engine does not tell: it has removed the image, or may not be asked.
     * Unknown is neither pinned nor not pinned: who has to decide by it returns
     * an error.
     */
    imageFacts?: ImageFacts | null,
    /**
     * How it was set up; none if the stage does not want `setup`. A call for a
     * container of which it is wanted and cannot be read is not made.
     */
    setup?: Setup | null,
    /**
     * What a later host knows beyond the fields above. Keys of this
     * version: `tags`, the value of the run's `-tags` flag for this
     * container, with its template already evaluated.
     */
    attributes: Array<Attribute>,
  }
  /**
   * The Consul agent that services are registered with.
   */
  export interface AgentFacts {
    /**
     * The name of its node.
     */
    node: string,
    datacenter: string,
    /**
     * Its version, such as `1.20.1`.
     */
    version: string,
    /**
     * The metadata of its node, sorted by key.
     */
    nodeMeta: Array<Attribute>,
  }
  /**
   * The container engine.
   */
  export interface EngineFacts {
    /**
     * `docker`, `podman` or another name in small letters.
     */
    kind: string,
    /**
     * Its version, such as `28.0.1`.
     */
    version: string,
  }
  /**
   * What is known of the host that the containers run on.
   */
  export interface HostFacts {
    /**
     * The name that service IDs begin with.
     */
    hostname: string,
    /**
     * The address that the host advertises: the run's `-ip` if it was
     * given, else the address that the host name resolves to.
     */
    address?: string | null,
    /**
     * The flags of the run that have a value, by their long names:
     * `internal`, `explicit`, `tags`, `compat`, ….
     */
    flags: Array<Attribute>,
    /**
     * None if the stage does not want `agent`, there is none, or its token may
     * not ask for it (`agent:read`). It may be a minute old.
     */
    agent?: AgentFacts | null,
    /**
     * None if the stage does not want `engine`, or it is not known. It may be a
     * minute old.
     */
    engine?: EngineFacts | null,
    /**
     * What a later host knows beyond the fields above.
     */
    attributes: Array<Attribute>,
  }
  /**
   * A duration in the syntax of Consul, which is that of Go: decimal
   * numbers with a unit each, such as `300ms`, `10s` or `1h30m`.
   */
  export type Duration = string;
  /**
   * The state of a check until it has run for the first time.
   * # Variants
   *
   * ## `"passing"`
   *
   * ## `"warning"`
   *
   * ## `"critical"`
   */
  export type CheckStatus = 'passing' | 'warning' | 'critical';
  /**
   * A request over HTTP: a status of 2xx passes, 429 warns, all else is
   * critical.
   */
  export interface HttpCheck {
    /**
     * An absolute `http://` or `https://` URL.
     */
    url: string,
    /**
     * The request's method; GET if none.
     */
    method?: string | null,
    /**
     * Request headers. A name can occur more than once.
     */
    headers: Array<Attribute>,
    /**
     * The request's body; empty for none.
     */
    body: string,
    /**
     * Do not verify the certificate of an `https` URL.
     */
    tlsSkipVerify: boolean,
    /**
     * The name that the certificate is verified for, if not the URL's.
     */
    tlsServerName?: string | null,
  }
  /**
   * A connection over TCP: it passes if the connection is accepted.
   */
  export interface TcpCheck {
    /**
     * `host:port`; an IPv6 address stands in brackets.
     */
    address: string,
  }
  /**
   * A datagram over UDP: it passes unless the port is refused.
   */
  export interface UdpCheck {
    /**
     * `host:port`; an IPv6 address stands in brackets.
     */
    address: string,
  }
  /**
   * The standard gRPC health protocol.
   */
  export interface GrpcCheck {
    /**
     * `host:port`, or `host:port/service` for one service of the server.
     */
    target: string,
    useTls: boolean,
    tlsSkipVerify: boolean,
    /**
     * The name that the certificate is verified for, if not the target's.
     */
    tlsServerName?: string | null,
  }
  /**
   * A ping over HTTP/2.
   */
  export interface H2PingCheck {
    /**
     * `host:port`; an IPv6 address stands in brackets.
     */
    address: string,
    useTls: boolean,
    tlsSkipVerify: boolean,
  }
  /**
   * A program that the Consul agent starts: exit code 0 passes, 1 warns,
   * any other is critical. The agent must allow script checks.
   */
  export interface ScriptCheck {
    /**
     * The program and its arguments; no shell is involved unless it is
     * named here.
     */
    args: Array<string>,
  }
  /**
   * A program that the Consul agent starts inside a container.
   */
  export interface DockerCheck {
    /**
     * The container's identifier.
     */
    containerId: string,
    /**
     * The shell that runs the command; the agent's default if none.
     */
    shell?: string | null,
    args: Array<string>,
  }
  /**
   * A state that somebody has to report before the time to live is over.
   */
  export interface TtlCheck {
    ttl: Duration,
  }
  /**
   * The state of another node or service in Consul.
   */
  export interface AliasCheck {
    /**
     * The node; the agent's own if none.
     */
    node?: string | null,
    /**
     * The service's ID; the node as a whole if none.
     */
    service?: string | null,
  }
  /**
   * What a check does.
   */
  export type CheckKind =
    | {
      tag: 'http',
      val: HttpCheck,
    }
    | {
      tag: 'tcp',
      val: TcpCheck,
    }
    | {
      tag: 'udp',
      val: UdpCheck,
    }
    | {
      tag: 'grpc',
      val: GrpcCheck,
    }
    | {
      tag: 'h2-ping',
      val: H2PingCheck,
    }
    | {
      tag: 'script',
      val: ScriptCheck,
    }
    | {
      tag: 'docker',
      val: DockerCheck,
    }
    | {
      tag: 'ttl',
      val: TtlCheck,
    }
    | {
      tag: 'alias',
      val: AliasCheck,
    }
    | {
      /**
       * The state of an operating-system service of this name.
       */
      tag: 'os-service',
      val: string,
    };
  /**
   * A health check of a service, as the Consul agent runs it.
   */
  export interface Check {
    /**
     * The check's ID; Consul makes one from the service's ID if none.
     */
    id?: string | null,
    /**
     * A name for people.
     */
    name?: string | null,
    /**
     * A remark for people.
     */
    notes?: string | null,
    kind: CheckKind,
    /**
     * The time between two runs. Needed by every kind but `ttl` and
     * `alias`.
     */
    interval?: Duration | null,
    /**
     * How long a run may take.
     */
    timeout?: Duration | null,
    /**
     * The state before the first run; critical if none.
     */
    initialStatus?: CheckStatus | null,
    /**
     * Consul deregisters the service when the check has been critical for
     * this long. Consul's minimum is one minute.
     */
    deregisterAfter?: Duration | null,
    /**
     * Successes in a row that make the check passing.
     */
    successBeforePassing?: number | null,
    /**
     * Failures in a row that make the check critical.
     */
    failuresBeforeCritical?: number | null,
    /**
     * Further fields of Consul's check definition by their names, with
     * values in JSON.
     */
    attributes: Array<Attribute>,
  }
  /**
   * How much of the traffic a service gets by its state.
   */
  export interface Weights {
    passing: number,
    warning: number,
  }
  /**
   * A further address of a service, by a name such as `lan_ipv6` or `wan`.
   */
  export interface TaggedAddress {
    tag: string,
    address: string,
    port: number,
  }
  /**
   * The container's port that a service stands for.
   */
  export interface Origin {
    /**
     * The port inside the container.
     */
    containerPort: number,
    protocol: Protocol,
    /**
     * The host's address and port if it is published.
     */
    published?: PublishedPort | null,
  }
  /**
   * One of several ports of a service, by its name.
   */
  export interface NamedPort {
    /**
     * Small letters, digits and `-`, at most 63 characters.
     */
    name: string,
    port: number,
    /**
     * It is the one for those who ask for none by name.
     */
    default: boolean,
  }
  /**
   * Where a service runs, for those who prefer what is near.
   */
  export interface Locality {
    region: string,
    zone?: string | null,
  }
  /**
   * A service that a proxy reaches for the one that it stands before.
   */
  export interface Upstream {
    destinationName: string,
    /**
     * The proxy's own if none.
     */
    datacenter?: string | null,
    /**
     * 127.0.0.1 if none.
     */
    localBindAddress?: string | null,
    /**
     * 0 only where `definition` names a socket instead.
     */
    localBindPort: number,
    /**
     * Further fields of Consul's definition, such as `MeshGateway`, by its
     * names, with values in JSON.
     */
    definition: Array<Attribute>,
  }
  /**
   * What a proxy or gateway stands before.
   */
  export interface Proxy {
    /**
     * The name of the service that it is a sidecar of; empty for a gateway.
     */
    destinationServiceName: string,
    /**
     * The ID of that service on the agent.
     */
    destinationServiceId?: string | null,
    localServiceAddress?: string | null,
    localServicePort?: number | null,
    upstreams: Array<Upstream>,
    /**
     * Settings of the proxy itself, with values in JSON.
     */
    config: Array<Attribute>,
    /**
     * Further fields of Consul's definition, such as `Mode`, by its names,
     * with values in JSON.
     */
    definition: Array<Attribute>,
  }
  /**
   * A service as it is to be registered.
   */
  export interface Service {
    /**
     * The service's ID, unique on the Consul agent.
     */
    id: string,
    /**
     * The service's name, shared by its instances.
     */
    name: string,
    /**
     * An IP address or a host name; Consul uses its node's address if it
     * is empty.
     */
    address: string,
    /**
     * The port; 0 if the service has none.
     */
    port: number,
    protocol: Protocol,
    /**
     * In the order in which they are registered.
     */
    tags: Array<string>,
    /**
     * Keys of letters, digits, `-` and `_`, of at most 128 characters;
     * values of at most 512 characters. Keys that begin with
     * `wharfinger-` or `consul-` are reserved.
     */
    meta: Array<Attribute>,
    checks: Array<Check>,
    /**
     * Consul's default, 1 and 1, if none.
     */
    weights?: Weights | null,
    /**
     * Others may change the tags in the catalog.
     */
    enableTagOverride: boolean,
    taggedAddresses: Array<TaggedAddress>,
    /**
     * The container's port that the service stands for; none for a
     * service that a stage made up. A stage hands it on as it is.
     */
    origin?: Origin | null,
    /**
     * Several ports by their names, one of which is the default and the
     * same as `port`. An agent that knows none gets `port` alone.
     */
    ports: Array<NamedPort>,
    locality?: Locality | null,
    /**
     * The path of the Unix socket at which it listens.
     */
    socketPath?: string | null,
    /**
     * Empty for an ordinary service, else `connect-proxy`, `mesh-gateway`,
     * `terminating-gateway`, `ingress-gateway` or `api-gateway`.
     */
    kind: string,
    /**
     * What it stands before; of a `connect-proxy` it is needed. A sidecar is
     * a service of its own, which later stages see and may veto.
     */
    proxy?: Proxy | null,
    /**
     * It speaks Consul's mesh protocol itself and needs no sidecar.
     */
    connectNative: boolean,
    /**
     * Further fields of Consul's definition that this record has none for,
     * by its names, with values in JSON. What names the service, says where
     * it is registered or brings another one with it is refused.
     */
    definition: Array<Attribute>,
    /**
     * Notes from stage to stage; they are not registered. Keys that begin
     * with `wharfinger-` are reserved.
     */
    attributes: Array<Attribute>,
  }
  /**
   * Why a service must not be registered.
   */
  export interface Veto {
    /**
     * For people.
     */
    reason: string,
    /**
     * A short word for figures, such as `privileged`: of small letters,
     * digits and `-`, of at most 32 characters, one of few.
     */
    code?: string | null,
  }
  /**
   * What becomes of one proposed service.
   */
  export type Decision =
    | {
      /**
       * It stays as it is.
       */
      tag: 'keep',
    }
    | {
      /**
       * This service takes its place.
       */
      tag: 'replace',
      val: Service,
    }
    | {
      /**
       * It must not be registered. Later stages do not see it.
       */
      tag: 'veto',
      val: Veto,
    };
  /**
   * What a stage says of one proposed service.
   */
  export interface Verdict {
    decision: Decision,
    /**
     * For people who ask why, a sentence each; `explain` and the log of
     * decisions show them.
     */
    notes: Array<string>,
  }
  /**
   * What a stage says of all proposed services.
   */
  export interface Outcome {
    /**
     * One verdict for each proposed service, in the same order.
     */
    verdicts: Array<Verdict>,
    /**
     * Services that the stage adds.
     */
    added: Array<Service>,
  }
  /**
   * Facts beyond the container itself and its services. A stage is shown those
   * that it wants; the others are none for it, whatever other stages want.
   */
  export interface Facts {
    /**
     * Of the container: `image-facts`. The engine is asked for the image at
     * each look at a container.
     */
    image?: boolean,
    /**
     * Of the container: `setup`.
     */
    setup?: boolean,
    /**
     * Of the host: `agent`. The agent is asked once a minute.
     */
    agent?: boolean,
    /**
     * Of the host: `engine`. The engine is asked once a minute.
     */
    engine?: boolean,
  }
  /**
   * What a stage says of itself.
   */
  export interface Description {
    /**
     * A short name, such as `naming`.
     */
    name: string,
    /**
     * The stage's own version, such as `1.4.0`.
     */
    version: string,
    /**
     * One line for people.
     */
    summary: string,
    /**
     * A JSON schema of the settings, if the stage has one.
     */
    settingsSchema?: string | null,
    /**
     * What it has to be shown. A container of which something that a stage
     * wants cannot be asked for keeps what it has.
     */
    wants?: Facts,
    /**
     * Further facts, such as `author`, `license` or `url`.
     */
    attributes: Array<Attribute>,
  }
}

declare module 'wharfinger:pipeline/logging@0.2.0' {
  /**
   * Write one message.
   */
  export function log(level: Level, message: string): void;
  /**
   * # Variants
   *
   * ## `"trace"`
   *
   * ## `"debug"`
   *
   * ## `"info"`
   *
   * ## `"warn"`
   *
   * ## `"error"`
   */
  export type Level = 'trace' | 'debug' | 'info' | 'warn' | 'error';
}

declare module 'wharfinger:pipeline/stage@0.2.0' {
  /**
   * Say what the stage is. Called once when the stage is loaded.
   */
  export function describe(): Description;
  /**
   * Validate the settings of the configuration, given as JSON. Called when
   * the stage is loaded. The error lists every fault, one line of text
   * each; the stage is then not used.
   */
  export function validateSettings(settings: string): void;
  /**
   * Decide on the services that are proposed for a container. `settings`
   * are those that were found valid before. An error means that the stage
   * could not decide; the container then keeps the registrations it has.
   */
  export function process(settings: string, container: Container, host: HostFacts, services: Array<Service>): Outcome;
  export type Container = import('wharfinger:pipeline/types@0.2.0').Container;
  export type HostFacts = import('wharfinger:pipeline/types@0.2.0').HostFacts;
  export type Service = import('wharfinger:pipeline/types@0.2.0').Service;
  export type Outcome = import('wharfinger:pipeline/types@0.2.0').Outcome;
  export type Description = import('wharfinger:pipeline/types@0.2.0').Description;
}
