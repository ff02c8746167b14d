"""What is in an image, as CycloneDX JSON on stdout: its distributions with the lock's hashes, and its base's packages.

    python image/sbom.py pagerduty-events:dev

The distributions come from requirements/image.txt by cyclonedx-py, as far as the image holds them; the packages from
the base's dpkg status. Of a base without one (a stand-in for the real one) the SBOM says that it is missing:
`incomplete`.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from email.parser import BytesHeaderParser
from pathlib import Path
from typing import Any, NamedTuple

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL

ROOT = Path(__file__).parent.parent
# Distroless images have a file for each package, others one for all.
STATUS = ("var/lib/dpkg/status", "var/lib/dpkg/status.d/")


class Held(NamedTuple):
    distributions: set[tuple[str, str]]  # names as in the lock, and versions
    packages: list[dict[str, str]]  # fields of dpkg's status


def main(image: str) -> None:
    settings = json.loads(output(["docker", "image", "inspect", image]))[0]["Config"]["Labels"]
    held = held_by(image)
    lock = ["cyclonedx-py", "requirements", "--output-reproducible", str(ROOT / "requirements/image.txt")]
    made = json.loads(output(lock))
    made["components"] = [
        one for one in made["components"] if (in_lock(one["name"]), one["version"]) in held.distributions
    ]
    missing = held.distributions - {(in_lock(one["name"]), one["version"]) for one in made["components"]}
    if missing:
        sys.exit(f"sbom: the image holds what the lock does not: {sorted(missing)}")
    made["components"] += [component(package) for package in held.packages]
    made["metadata"]["component"] = {
        "type": "container",
        "bom-ref": "image",
        "name": "pagerduty-events",
        "version": settings["org.opencontainers.image.version"],
        "licenses": [{"license": {"id": settings["org.opencontainers.image.licenses"]}}],
        "properties": [
            {"name": name, "value": settings[name]}
            for name in ("org.opencontainers.image.revision", "org.opencontainers.image.base.name")
        ],
    }
    refs = [one["bom-ref"] for one in made["components"]]
    made["dependencies"] = [{"ref": "image", "dependsOn": refs}, *({"ref": ref} for ref in refs)]
    made["compositions"] = [{"aggregate": "complete" if held.packages else "incomplete", "assemblies": ["image"]}]
    text = json.dumps(made, indent=2)
    if error := JsonStrictValidator(SchemaVersion.from_version(made["specVersion"])).validate_str(text):
        sys.exit(f"sbom: what was made is no CycloneDX: {error}")
    print(text)
    if not held.packages:
        print(
            "sbom: the base image has no dpkg status, so its packages are missing; the SBOM says so.", file=sys.stderr
        )


def held_by(image: str) -> Held:
    held = Held(set(), [])
    made = output(["docker", "create", image]).strip()
    with (
        subprocess.Popen(["docker", "export", made], stdout=subprocess.PIPE) as export,
        tarfile.open(fileobj=export.stdout, mode="r|") as files,
    ):
        for member in files:
            path = member.name
            if path.startswith("opt/pipe/") and path.endswith(".dist-info/METADATA"):
                (found,) = fields(files.extractfile(member))
                held.distributions.add((in_lock(found["name"]), found["version"]))
            elif path.startswith(STATUS) and member.isreg() and not path.endswith(".md5sums"):
                held.packages.extend(fields(files.extractfile(member)))
    output(["docker", "rm", made])
    return held


def in_lock(name: str) -> str:
    return name.lower().replace("_", "-")


def fields(file: Any) -> Iterator[dict[str, str]]:
    """Each paragraph's fields, by their names in small letters."""
    for paragraph in file.read().strip().split(b"\n\n"):
        yield {name.lower(): value for name, value in BytesHeaderParser().parsebytes(paragraph).items()}


def component(package: dict[str, str]) -> dict[str, Any]:
    name, version = package["package"], package["version"]
    where = PackageURL("deb", "debian", name, version, {"arch": package.get("architecture", "")})
    return {"type": "library", "bom-ref": str(where), "name": name, "version": version, "purl": str(where)}


def output(command: list[str]) -> str:
    run = subprocess.run(command, capture_output=True, text=True)
    if run.returncode:
        sys.exit(f"sbom: {' '.join(command)} ended with {run.returncode}: {run.stderr.strip()[-1000:]}")
    return run.stdout


if __name__ == "__main__":
    main(sys.argv[1])
