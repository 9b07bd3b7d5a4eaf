# SPDX-License-Identifier: Apache-2.0
"""OCI images made by hand, for tests: layers from Python's own tarfile, an index of architectures."""
import gzip
import hashlib
import io
import json
import os
import tarfile


def layer(*members):
    """A tar of members: (name, bytes), (name, "dir"), (name, ("soft"|"hard", target)), (name, ("tree", folder))."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, what in members:
            if isinstance(what, tuple) and what[0] == "tree":
                tar.add(what[1], arcname=name)
                continue
            info = tarfile.TarInfo(name)
            info.mode, info.mtime = 0o644, 1_600_000_000
            data = b""
            if what == "dir":
                info.type, info.mode = tarfile.DIRTYPE, 0o755
            elif isinstance(what, tuple):
                info.type = tarfile.SYMTYPE if what[0] == "soft" else tarfile.LNKTYPE
                info.linkname = what[1]
            else:
                data = what
                info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return out.getvalue()


class Layout:
    def __init__(self, path):
        self.path = path
        os.makedirs(os.path.join(path, "blobs", "sha256"), exist_ok=True)
        with open(os.path.join(path, "oci-layout"), "w", encoding="utf-8") as f:
            json.dump({"imageLayoutVersion": "1.0.0"}, f)

    def blob(self, data):
        digest = hashlib.sha256(data).hexdigest()
        with open(os.path.join(self.path, "blobs", "sha256", digest), "wb") as f:
            f.write(data)
        return {"digest": "sha256:" + digest, "size": len(data)}

    def manifest(self, layers, arch="amd64", config=None):
        """Descriptor of an image's manifest, with its platform."""
        diff_ids = ["sha256:" + hashlib.sha256(one).hexdigest() for one in layers]
        text = {"architecture": arch, "os": "linux", "created": "2024-01-01T00:00:00Z", "config": config or {},
                "rootfs": {"type": "layers", "diff_ids": diff_ids}}
        config_blob = self.blob(json.dumps(text).encode())
        described = [{"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **self.blob(gzip.compress(one, 6, mtime=0))}
                     for one in layers]
        made = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.oci.image.config.v1+json", **config_blob}, "layers": described}
        return {"mediaType": made["mediaType"], **self.blob(json.dumps(made).encode()),
                "platform": {"os": "linux", "architecture": arch}}

    def index(self, manifests, name=None):
        if len(manifests) == 1:
            entries = [{k: v for k, v in manifests[0].items() if k != "platform"}]
        else:
            inner = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": manifests}
            entries = [{"mediaType": inner["mediaType"], **self.blob(json.dumps(inner).encode())}]
        for entry in entries:
            if name:
                entry["annotations"] = {"org.opencontainers.image.ref.name": name}
        with open(os.path.join(self.path, "index.json"), "w", encoding="utf-8") as f:
            json.dump({"schemaVersion": 2, "manifests": entries}, f)
