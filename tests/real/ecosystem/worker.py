# SPDX-License-Identifier: MIT
"""Workers of Kafka Connect in distributed mode, and their REST API."""

import json
import os
import urllib.error
import urllib.request

from hand import Java, new_port, wait_until

START_SECONDS = 60


class Refused(Exception):
    """An answer of the REST API that is no success."""

    def __init__(self, status, text):
        super().__init__(f"{status}: {text[:300]}")
        self.status = status


class Worker(Java):
    """One worker of the group "connect"; the settings are those of the worker."""

    def __init__(self, folder, name, address, plugins=(), settings=None):
        self.port = new_port()
        values = {
            "bootstrap.servers": address, "group.id": "connect-cluster",
            "listeners": f"http://127.0.0.1:{self.port}",
            "key.converter": "org.apache.kafka.connect.storage.StringConverter",
            "value.converter": "org.apache.kafka.connect.storage.StringConverter",
            "config.storage.topic": "connect_configs", "config.storage.replication.factor": 1,
            "offset.storage.topic": "connect_offsets", "offset.storage.replication.factor": 1,
            "offset.storage.partitions": 5,
            "status.storage.topic": "connect_statuses", "status.storage.replication.factor": 1,
            "offset.flush.interval.ms": 500, "plugin.discovery": "service_load",
            "scheduled.rebalance.max.delay.ms": 1000,
            **(settings or {}),
        }
        file = os.path.join(folder, name + ".properties")
        os.makedirs(folder, exist_ok=True)
        with open(file, "w", encoding="utf-8") as out:
            out.writelines(f"{key}={value}\n" for key, value in values.items())
        super().__init__(folder, name, "org.apache.kafka.connect.cli.ConnectDistributed", file, plugins=plugins)

    def ask(self, method, path, body=None):
        """The JSON of the answer, None if it has none."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}{path}", method=method,
                                         data=None if body is None else json.dumps(body).encode(),
                                         headers={"Content-Type": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=90) as answer:
                text = answer.read()
        except urllib.error.HTTPError as error:
            raise Refused(error.code, error.read().decode()) from None
        return json.loads(text) if text else None

    def patient(self, method, path, body=None, seconds=60):
        """Asks again while the worker is busy with a rebalance or not yet there."""
        answer = []

        def asked():
            if self.process.poll() is not None:
                raise RuntimeError(f"{self.name} ended, status {self.process.returncode}")
            try:
                answer.append(self.ask(method, path, body))
            except Refused as refused:
                if refused.status not in (404, 409, 500, 503):
                    raise
                return False
            except OSError:
                return False
            return True

        wait_until(asked, seconds, f"{method} {path}")
        return answer[0]

    def ready(self):
        return self.patient("GET", "/", seconds=START_SECONDS)

    def state(self, connector):
        """The connector's state and those of its tasks, as one list; [] while there is none."""
        try:
            status = self.ask("GET", f"/connectors/{connector}/status")
        except (Refused, OSError):
            return []
        return [status["connector"]["state"], *[task["state"] for task in status["tasks"]]]

    def reaches(self, connector, state, tasks=1, seconds=60):
        wanted = [state] * (1 + tasks)
        got = []

        def reached():
            got[:] = self.state(connector)
            return got == wanted

        try:
            wait_until(reached, seconds, f"{connector}: {wanted}")
        except TimeoutError as error:
            raise TimeoutError(f"{error}, but {got}") from None
