"""Reads every output of a run with a parser that nobody here wrote, and prints what each of them understood, as JSON.

    outputs.py DIRECTORY SCHEMAS

DIRECTORY holds report.json, .jsonl, .csv, .xml, .md, .prom, .openlineage.json, and report.github where stdout was kept; SCHEMAS the JSON
Schemas of the repository.
Whatever a parser or a schema objects to ends the script with a traceback.
"""

import contextlib
import copy
import csv
import io
import json
import pathlib
import re
import sys

import github_action_utils
import jsonschema
import junitparser
import lxml.etree
import markdown_it
from openlineage.client import event_v2
from openlineage.client.facet_v2 import data_quality_assertions_dataset, data_quality_metrics_input_dataset
from prometheus_client.parser import text_string_to_metric_families

directory, schemas = map(pathlib.Path, sys.argv[1:3])
seen = {}


def text(suffix):
    return (directory / f"report.{suffix}").read_bytes().decode("utf-8")


def closed(schema):
    """The schema with no room for fields that it does not name, so that none is forgotten."""
    if isinstance(schema, dict):
        schema = {name: closed(value) for name, value in schema.items()}
        if "properties" in schema and "additionalProperties" not in schema:
            schema["additionalProperties"] = False
        return schema
    return [closed(value) for value in schema] if isinstance(schema, list) else schema


def schema(name):
    whole = json.loads((schemas / name).read_text())
    jsonschema.Draft202012Validator.check_schema(whole)
    return [jsonschema.Draft202012Validator(kind, format_checker=jsonschema.FormatChecker()) for kind in (whole, closed(whole))]


# JSON, against the schema; and the schema must be able to say no.
summary = json.loads(text("json"))
for validator in schema("run.schema.json"):
    validator.validate(summary)
    assert not validator.is_valid({**summary, "verdict": "fine"})
    assert not validator.is_valid({name: value for name, value in summary.items() if name != "streams"})
seen["json"] = summary["verdict"]

# JSON lines.
lines = [json.loads(line) for line in text("jsonl").split("\n")[:-1]]
for validator in schema("finding.schema.json"):
    for line in lines:
        validator.validate(line)
seen["jsonl"] = lines

# CSV.
rows = list(csv.DictReader(io.StringIO(text("csv"), newline=""), strict=True))
assert all(None not in row and None not in row.values() for row in rows), "a row has too many or too few cells"
seen["csv"] = rows

# JUnit: the schema of Jenkins, what it shares with that of Ant, then the reader; and each schema must be able to say no.
xml = lxml.etree.fromstring(text("xml").encode(), lxml.etree.XMLParser(resolve_entities=False))
for place in (pathlib.Path(sys.prefix) / "share/junit-10.xsd", pathlib.Path(__file__).parent / "junit.xsd"):
    junit = lxml.etree.XMLSchema(file=str(place))
    junit.assertValid(xml)
    for spoil in (lambda suite: suite.attrib.pop("name"), lambda suite: suite.set("gapless", "x"), lambda suite: suite.set("time", "soon")):
        wrong = copy.deepcopy(xml)
        spoil(wrong[0])
        assert not junit.validate(wrong), place
suites = junitparser.JUnitXml.fromstring(text("xml").encode())
seen["junit"] = [
    {
        "name": suite.name,
        "tests": suite.tests,
        "failures": suite.failures,
        "errors": suite.errors,
        "skipped": suite.skipped,
        "cases": {case.name: [type(result).__name__ for result in case.result] for case in suite},
        "texts": {case.name: [result.text or "" for result in case.result] for case in suite},
        "counted": sum(1 for _ in suite),
    }
    for suite in suites
]

# Prometheus.
metrics = {}
for family in text_string_to_metric_families(text("prom")):
    assert re.fullmatch(r"gapless_[a-z_]+", family.name) and family.documentation.endswith("."), family.name
    assert family.type == "gauge" and not family.name.endswith(("_total", "_count", "_sum", "_bucket")), family.name
    for sample in family.samples:
        key = json.dumps([sample.name, sample.labels], sort_keys=True)
        assert key not in metrics, f"twice: {key}"
        assert "job" not in sample.labels and "instance" not in sample.labels
        metrics[key] = sample.value
seen["prometheus"] = metrics

# Markdown, as GitHub reads it: no markup of data survives, so only elements of ours are there.
parser = markdown_it.MarkdownIt("gfm-like", {"html": True, "linkify": False})
tokens = parser.parse(text("md"))
flat = []
for token in tokens:
    flat.append(token)
    flat.extend(token.children or [])
kinds = sorted({token.type for token in flat})
seen["markdown"] = {
    "kinds": kinds,
    "headings": [tokens[at + 1].content for at, token in enumerate(tokens) if token.type == "heading_open"],
    "codes": [token.content for token in flat if token.type in ("code_inline", "fence")],
    "texts": [token.content for token in flat if token.type == "text"],
    "cells": sum(1 for token in flat if token.type == "td_open"),
}

# OpenLineage: the classes of its client refuse what the specification does not allow.
event = json.loads(text("openlineage.json"))
run = event_v2.RunEvent(
    eventType=event_v2.RunState[event["eventType"]],
    eventTime=event["eventTime"],
    run=event_v2.Run(runId=event["run"]["runId"]),
    job=event_v2.Job(namespace=event["job"]["namespace"], name=event["job"]["name"]),
    producer=event["producer"],
    inputs=[
        event_v2.InputDataset(
            namespace=dataset["namespace"],
            name=dataset["name"],
            facets={
                "dataQualityAssertions": data_quality_assertions_dataset.DataQualityAssertionsDatasetFacet(
                    assertions=[
                        data_quality_assertions_dataset.Assertion(**assertion)
                        for assertion in dataset["facets"]["dataQualityAssertions"]["assertions"]
                    ]
                )
            },
            inputFacets={
                "dataQualityMetrics": data_quality_metrics_input_dataset.DataQualityMetricsInputDatasetFacet(
                    **{name: value for name, value in dataset["inputFacets"]["dataQualityMetrics"].items() if not name.startswith("_")}
                )
            },
        )
        for dataset in event["inputs"]
    ],
    outputs=[],
)
seen["openlineage"] = {
    "state": run.eventType.name,
    "failed": sorted(
        {a.assertion for dataset in run.inputs for a in dataset.facets["dataQualityAssertions"].assertions if not a.success}
    ),
    "rows": [dataset.inputFacets["dataQualityMetrics"].rowCount for dataset in run.inputs],
    "names": [dataset.name for dataset in run.inputs],
}

# GitHub: what each command says is what another library writes in the very same bytes.
if (directory / "report.github").exists():
    seen["github"] = []
    for line in text("github").split("\n")[:-1]:
        level, title, words = re.fullmatch(r"::(error|warning|notice) title=([^:,]*)::([^\r\n]*)", line).groups()
        for escaped, meant in [("%2C", ","), ("%3A", ":"), ("%0A", "\n"), ("%0D", "\r"), ("%25", "%")]:
            title, words = title.replace(escaped, meant), words.replace(escaped, meant)
        with contextlib.redirect_stdout(io.StringIO()) as again:
            getattr(github_action_utils, level)(words, title=title)
        assert again.getvalue() == line + "\n", f"{again.getvalue()!r} is not {line!r}"
        seen["github"].append({"level": level, "title": title, "text": words})

json.dump(seen, sys.stdout)
