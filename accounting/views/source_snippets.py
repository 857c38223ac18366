"""How a program is made to post here: text to copy, for each kind of program, with the right address and the token."""

import shlex
from dataclasses import dataclass, field

from django.urls import NoReverseMatch, reverse

from accounting.views.agent_command import agent_command

PLACEHOLDER = "gai_YOUR_TOKEN"


@dataclass(frozen=True, slots=True)
class Text:
    """Something to copy, and what it is."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Snippet:
    """One kind of program. `what` says when to choose it, `token` where the token stands."""

    key: str
    title: str
    what: str
    token: str
    texts: tuple[Text, ...]
    links: tuple[tuple[str, str], ...] = field(default=())  # (words, address) of pages that belong to it


def snippets(*, server: str, token: str = PLACEHOLDER) -> list[Snippet]:
    """Every way in, the least work first.

    Args:
        server: its address as others reach it, without a slash at the end.
    """
    return [
        _agent(server, token),
        _codecarbon(server, token),
        _prometheus(server, token),
        _opentelemetry(server, token),
        _slurm(server, token),
        _track(server, token),
        _http(server, token),
    ]


def _agent(server: str, token: str) -> Snippet:
    return Snippet(
        "agent",
        "Agent",
        "For a machine that nothing measures yet. The agent reads GPUs, processors and whole nodes, knows Slurm and "
        "Kubernetes jobs, keeps readings on disk while the network is down, and needs only Python 3.11.",
        "In a file that only its owner reads.",
        (Text("Paste on the machine", agent_command(token, server=server)),),
    )


def _codecarbon(server: str, token: str) -> Snippet:
    code = (
        "from codecarbon import EmissionsTracker\n\n"
        "with EmissionsTracker(\n"
        "    save_to_api=True,\n"
        f'    api_endpoint="{server}/api/codecarbon",\n'
        f'    api_key="{token}",\n'
        ") as tracker:\n"
        "    train()"
    )
    file = f"[codecarbon]\nsave_to_api = true\napi_endpoint = {server}/api/codecarbon\napi_key = {token}"
    return Snippet(
        "codecarbon",
        "CodeCarbon",
        "Your code has a CodeCarbon tracker already: three arguments send its readings here.",
        "As api_key.",
        (Text("In Python", code), Text("Or in ~/.codecarbon.config, for every run", file)),
        _links(("Import an emissions.csv", "import-new")),
    )


# What is read of each exporter; docs/prometheus.md has what becomes of it.
_READ_OF_PROMETHEUS = (
    "DCGM_FI_DEV_(TOTAL_ENERGY_CONSUMPTION|POWER_USAGE|GPU_UTIL|FB_USED)|DCGM_FI_PROF_GR_ENGINE_ACTIVE|"
    "kepler_node_(cpu|gpu)_(joules_total|watts)|kepler_platform_watts|node_rapl_(package|dram)_joules_total|"
    "ipmi_dcmi_power_consumption_watts"
)


def _prometheus(server: str, token: str) -> Snippet:
    text = (
        "remote_write:\n"
        f"  - url: {server}/api/v1/prom/write\n"
        "    authorization:\n"
        f"      credentials: {token}\n"
        "    write_relabel_configs: # send only what is read here\n"
        "      - source_labels: [__name__]\n"
        f'        regex: "{_READ_OF_PROMETHEUS}"\n'
        "        action: keep"
    )
    return Snippet(
        "prometheus",
        "Prometheus",
        "Prometheus scrapes DCGM exporter, Kepler, node_exporter or IPMI already: it can pass their energy on. "
        "Scrape DCGM exporter with honor_labels: true, so that a pod's name stays the workload's.",
        "As credentials; or write it to a file and name that as credentials_file.",
        (Text("In prometheus.yml, then reload Prometheus", text),),
    )


def _opentelemetry(server: str, token: str) -> Snippet:
    sdk = (
        f"export OTEL_EXPORTER_OTLP_METRICS_ENDPOINT={shlex.quote(server + '/v1/metrics')}\n"
        "export OTEL_EXPORTER_OTLP_METRICS_PROTOCOL=http/protobuf\n"
        f"export OTEL_EXPORTER_OTLP_METRICS_HEADERS={shlex.quote('Authorization=Bearer%20' + token)}\n"
        'export OTEL_RESOURCE_ATTRIBUTES="host.name=$(hostname)" # and greenai.job=…, greenai.team=… after a comma'
    )
    collector = (
        "exporters:\n"
        "  otlphttp/greenai:\n"
        f"    metrics_endpoint: {server}/v1/metrics\n"
        "    headers:\n"
        f"      Authorization: Bearer {token}\n\n"
        "service:\n"
        "  pipelines:\n"
        "    metrics:\n"
        "      exporters: [otlphttp/greenai] # beside those that are there"
    )
    return Snippet(
        "opentelemetry",
        "OpenTelemetry",
        "An SDK or a Collector exports metrics already: energy and power of the hw.* conventions are read here.",
        "In the header Authorization; in environment variables its blank is written %20.",
        (Text("For an SDK, in its environment", sdk), Text("Or for a Collector, in its configuration", collector)),
    )


def _slurm(server: str, token: str) -> Snippet:
    text = (
        "sacct -P -a -S now-7days --format=JobID,JobIDRaw,JobName,User,Account,Start,End,ElapsedRaw,State,NodeList,"
        "AllocTRES,ConsumedEnergyRaw > sacct.txt"
    )
    return Snippet(
        "slurm",
        "Slurm",
        "Slurm knows which job ran where, and often what it drew. A file of its accounting is read in, as often as "
        "you like: what came before is not counted twice.",
        "A person imports the file: it needs no token.",
        (Text("On the cluster", text),),
        _links(("Import a sacct file", "import-new")),
    )


def _track(server: str, token: str) -> Snippet:
    shell = (
        f"curl -fsSO {shlex.quote(server + reverse('agent-archive'))}\n"
        f"export GREENAI_SERVER={shlex.quote(server)} GREENAI_TOKEN={shlex.quote(token)}\n"
        "PYTHONPATH=greenai-agent.pyz python3 train.py"
    )
    code = 'from accounting.agent.track import track\n\nwith track("train-42", project="resnet"):\n    train()'
    return Snippet(
        "track",
        "Your own code",
        "You want to say in the code which job this is. It posts when the job began and ended, and meters it where "
        "no agent does; whatever the network does, your code runs on.",
        "In GREENAI_TOKEN, or in a file that GREENAI_TOKEN_FILE names.",
        (Text("In Python", code), Text("Run it", shell)),
    )


def _http(server: str, token: str) -> Snippet:
    text = (
        f"curl -sS {shlex.quote(server + reverse('telemetry'))} \\\n"
        f"  -H {shlex.quote('Authorization: Bearer ' + token)} -H 'Content-Type: application/json' \\\n"
        '  -d \'{"device_samples": [{"host": "rack-7", "device": "pdu-1", "power_w": 412.5, "measured_at": "\''
        '"$(date -u +%FT%TZ)"\'"}]}\''
    )
    return Snippet(
        "http",
        "HTTP",
        "Something else measures: a PDU, a building system, a script. One request takes up to 10 000 readings; "
        "docs/api.md has every field.",
        "In the header Authorization.",
        (Text("A reading of now", text),),
    )


def _links(*named: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    found = []
    for words, name in named:
        try:
            found.append((words, reverse(name)))
        except NoReverseMatch:
            continue
    return tuple(found)
