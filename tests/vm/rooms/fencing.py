# SPDX-License-Identifier: Apache-2.0
"""A node that is silent is switched off by the site's program, from within the sandbox of slipwayd's unit, over the network."""
import http.server
import json
import threading

from rooms.hands import ETC, SMALL, USER, ended, equal, is_well, node, sh, units_are_up, waiting_job, wait_until

PORT = 8443
SYSTEM = "/redfish/v1/Systems/vm"
# What a site would write: the switch is asked until it says that the power is off.
PROGRAM = f"""#!/usr/bin/python3
import json, sys, time, urllib.request
asked = json.load(sys.stdin)
assert asked["node"] == sys.argv[1], asked
system = "http://127.0.0.1:{PORT}{SYSTEM}"
order = urllib.request.Request(system + "/Actions/ComputerSystem.Reset", b'{{"ResetType": "ForceOff"}}', {{"Content-Type": "application/json"}})
urllib.request.urlopen(order, timeout=60).close()
while json.load(urllib.request.urlopen(system, timeout=60))["PowerState"] != "Off":
    time.sleep(0.5)
print("power of", sys.argv[1], "is off")
"""
SETTINGS = """[controller]
heartbeat = "2s"
node_lost_after = "8s"
[hooks]
fence = "/etc/slipway/fence"
fence_after = "20s"
fence_share_max = 100
"""


class Bmc(http.server.BaseHTTPRequestHandler):
    """As much of Redfish as a fence wants. The power of this machine is that of what runs as the node's."""
    orders, power = [], "On"

    def answer(self, what):
        body = json.dumps(what).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self):  # noqa: N802 (the base class's name)
        Bmc.orders.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["ResetType"])
        sh("systemctl stop slipway-steps")
        Bmc.power = "Off"
        self.answer({})

    def do_GET(self):  # noqa: N802
        self.answer({"PowerState": Bmc.power})

    def log_message(self, *_):
        pass


def a_silent_node_is_switched_off_over_the_network_from_within_the_unit():
    bmc = http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Bmc)
    threading.Thread(target=bmc.serve_forever, daemon=True).start()
    program, setting = ETC / "fence", ETC / "conf.d/fence.toml"
    program.write_text(PROGRAM)
    program.chmod(0o755)
    setting.parent.mkdir(exist_ok=True)
    setting.write_text(SETTINGS)
    try:
        sh("systemctl restart slipwayd")
        units_are_up()
        job_id, _ = waiting_job(*SMALL, "--no-requeue")
        sh("systemctl stop slipway-agent")
        equal(ended(job_id)["state"], "NODE_FAIL")
        reason = node()["reason"]
        equal((node()["state"], Bmc.orders), ("DOWN", ["ForceOff"]))
        assert "fenced by /etc/slipway/fence" in reason, reason
    finally:
        setting.unlink()
        program.unlink()
        bmc.shutdown()
        sh("systemctl start slipway-steps slipway-broker slipway-agent; systemctl restart slipwayd")
        # It comes without having been rebooted: an administrator's word is wanted.
        sh("slipway node resume vm")
        units_are_up()
        is_well()
    wait_until("nothing of the job is left", lambda: sh(f"pgrep -u {USER}", check=False).stdout == "")
    return reason
