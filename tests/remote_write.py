"""Remote-write requests as Prometheus makes them, from schemas compiled by protoc: nothing of the server's own reader.

The schemas carry every field of the two specifications by its number, also those that the server skips.
"""

import importlib.util
import struct
import sys
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import cramjam

V1, V2 = "application/x-protobuf", "application/x-protobuf;proto=io.prometheus.write.v2.Request"
STALE = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
Point = tuple[float, int]  # value, milliseconds since 1970
OneSeries = tuple[Mapping[str, str], Sequence[Point]]

_V1 = """
syntax = "proto3";
package test_write_v1;
message Label { string name = 1; string value = 2; }
message Sample { double value = 1; int64 timestamp = 2; }
message Exemplar { repeated Label labels = 1; double value = 2; int64 timestamp = 3; }
message Histogram { uint64 count_int = 1; double sum = 3; sint32 schema = 4; int64 timestamp = 15; }
message TimeSeries {
  repeated Label labels = 1;
  repeated Sample samples = 2;
  repeated Exemplar exemplars = 3;
  repeated Histogram histograms = 4;
}
message MetricMetadata { int32 type = 1; string metric_family_name = 2; string help = 4; string unit = 5; }
message WriteRequest { repeated TimeSeries timeseries = 1; repeated MetricMetadata metadata = 3; }
"""
_V2 = """
syntax = "proto3";
package test_write_v2;
message Sample { double value = 1; int64 timestamp = 2; int64 start_timestamp = 3; }
message Exemplar { repeated uint32 labels_refs = 1; double value = 2; int64 timestamp = 3; }
message Metadata { int32 type = 1; uint32 help_ref = 3; uint32 unit_ref = 4; }
message Histogram { uint64 count_int = 1; double sum = 3; sint32 schema = 4; int64 timestamp = 15; }
message TimeSeries {
  repeated uint32 labels_refs = 1;
  repeated Sample samples = 2;
  repeated Histogram histograms = 3;
  repeated Exemplar exemplars = 4;
  Metadata metadata = 5;
  int64 created_timestamp = 6;
}
message Request { repeated string symbols = 4; repeated TimeSeries timeseries = 5; }
"""


def v1_request(*series: OneSeries) -> Any:
    request = _compiled()["v1"].WriteRequest()
    for labels, points in series:
        one = request.timeseries.add()
        for name, value in sorted(labels.items()):
            one.labels.add(name=name, value=value)
        for value, ms in points:
            one.samples.add(value=value, timestamp=ms)
    request.metadata.add(type=1, metric_family_name="up", help="skipped by the reader")
    return request


def v2_request(*series: OneSeries, created_ms: int = 0) -> Any:
    request = _compiled()["v2"].Request(symbols=[""])
    refs = {"": 0}
    for labels, points in series:
        one = request.timeseries.add(created_timestamp=created_ms)
        for text in (text for pair in sorted(labels.items()) for text in pair):
            if text not in refs:
                refs[text] = len(request.symbols)
                request.symbols.append(text)
            one.labels_refs.append(refs[text])
        for value, ms in points:
            one.samples.add(value=value, timestamp=ms, start_timestamp=created_ms)
        one.metadata.type = 1
    return request


def packed(request: Any) -> bytes:
    """As it goes over the wire."""
    return bytes(cramjam.snappy.compress_raw(request.SerializeToString()))


@cache
def _compiled() -> dict[str, ModuleType]:
    from grpc_tools import protoc

    modules = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, text in (("v1", _V1), ("v2", _V2)):
            source = Path(folder) / f"test_write_{name}.proto"
            source.write_text(text)
            assert protoc.main(["protoc", f"-I{folder}", f"--python_out={folder}", str(source)]) == 0
            spec = importlib.util.spec_from_file_location(
                f"test_write_{name}_pb2", Path(folder) / f"test_write_{name}_pb2.py"
            )
            assert spec is not None and spec.loader is not None
            modules[name] = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = modules[name]
            spec.loader.exec_module(modules[name])
    return modules
