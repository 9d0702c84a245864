"""The npm package ``prom-client``, which pushes from node; installed once into ``.tools``."""

from __future__ import annotations

import json
import subprocess

from tests.servers import npm

# Pushes a gauge, a counter, a histogram and a summary: pushAdd (POST), then push (PUT) to another group, then delete.
_SCRIPT = """\
import client from "prom-client";

const url = process.argv[1];
const registry = new client.Registry();
new client.Gauge({name: "node_gauge", help: "A gauge.", labelNames: ["a"], registers: [registry]}).set({a: 'x"y'}, 1.5);
new client.Counter({name: "node_counter_total", help: "A counter.", registers: [registry]}).inc(2);
new client.Histogram({name: "node_seconds", help: "A histogram.", registers: [registry]}).observe(0.3);
new client.Summary({name: "node_summary", help: "A summary.", registers: [registry]}).observe(0.4);
const gateway = new client.Pushgateway(url, {}, registry);
const statuses = [];
const keep = ({resp}) => statuses.push(resp.statusCode);
await gateway.pushAdd({jobName: "node", groupings: {kind: "added"}}).then(keep);
await gateway.push({jobName: "node", groupings: {kind: "put"}}).then(keep);
await gateway.delete({jobName: "node", groupings: {kind: "put"}}).then(keep);
console.log(JSON.stringify(statuses));
"""


def push(url: str) -> list[int]:
    """Push with prom-client to the gateway at ``url``; return the statuses of POST, PUT and DELETE."""
    node, directory = npm.installed("prom-client")
    done = subprocess.run(
        [node, "--input-type=module", "--eval", _SCRIPT, url],
        cwd=directory,
        capture_output=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr.decode()
    return list(json.loads(done.stdout))
