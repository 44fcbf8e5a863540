"""The SageMaker service: one table of operations with one response format."""

import json
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.sagemaker import access, store, tags
from federation.rehearse.emulator.sagemaker.api_errors import ApiError, NotEmulatedError
from federation.rehearse.emulator.sagemaker.notebooks import lifecycle_configs, notebooks
from federation.rehearse.emulator.sagemaker.request_model import check_request
from federation.rehearse.emulator.sagemaker.session_endpoint import Sessions
from federation.rehearse.emulator.sagemaker.training import training_jobs
from federation.rehearse.emulator.sagemaker.training.instances import Instances
from federation.rehearse.emulator.sagemaker.training.training_jobs import TrainingJobs
from federation.rehearse.machine.settings import EmulatorSettings

Request = dict[str, Any]

PLAIN: dict[str, Callable[[Request], Request]] = {
    "AddTags": tags.add_tags,
    "DeleteNotebookInstance": notebooks.delete,
    "DeleteNotebookInstanceLifecycleConfig": lifecycle_configs.delete,
    "DeleteTags": tags.delete_tags,
    "DescribeNotebookInstance": notebooks.describe,
    "DescribeNotebookInstanceLifecycleConfig": lifecycle_configs.describe,
    "DescribeTrainingJob": training_jobs.describe,
    "ListNotebookInstanceLifecycleConfigs": lifecycle_configs.list_configs,
    "ListNotebookInstances": notebooks.list_notebooks,
    "ListTags": tags.list_tags,
    "ListTrainingJobs": training_jobs.list_jobs,
    "StartNotebookInstance": notebooks.start,
    "StopNotebookInstance": notebooks.stop,
    "UpdateNotebookInstance": notebooks.update,
    "UpdateNotebookInstanceLifecycleConfig": lifecycle_configs.update,
    "UpdateTrainingJob": training_jobs.update,
}
CREATING: dict[str, Callable[[Request, Any], Request]] = {
    "CreateNotebookInstance": notebooks.create,
    "CreateNotebookInstanceLifecycleConfig": lifecycle_configs.create,
}
WITH_INSTANCES = ("CreateTrainingJob", "StopTrainingJob")
OPERATIONS = frozenset({*PLAIN, *CREATING, *WITH_INSTANCES})


class SageMaker:
    """The operations, over the training jobs of this emulator.

    Parameters
    ----------
    jobs : TrainingJobs
        The jobs, which start and stop instances.
    """

    def __init__(self, jobs: TrainingJobs) -> None:
        self._plain = {**PLAIN, "StopTrainingJob": jobs.stop}
        self._creating = {**CREATING, "CreateTrainingJob": jobs.create}

    async def handle_request(
        self, _method: str, _path: str, headers: dict[str, str], body: bytes, query: dict[str, list[str]]
    ) -> ministack.Response:
        """Answer one request that IAM has allowed."""
        name = headers.get("x-amz-target", "").rpartition(".")[2]
        try:
            return ministack.json_response(self._answer(name, json.loads(body or b"{}"), headers, query))
        except ApiError as error:
            return ministack.json_error(error.code, str(error), 400)

    def _answer(
        self, name: str, request: Request, headers: dict[str, str], query: dict[str, list[str]]
    ) -> Request:
        check_request(name, request)
        if name in self._plain:
            return self._plain[name](request)
        if name not in self._creating:
            raise NotEmulatedError(f"the SageMaker operation {name}")
        caller = ministack.principal_of_key(ministack.access_key_of(headers, query), ministack.account_id())
        return self._creating[name](request, caller)


def install(settings: EmulatorSettings, sessions: Sessions) -> Instances:
    """Register the service, and return the instances it starts."""
    instances = Instances()
    service = SageMaker(TrainingJobs(settings, instances, sessions))

    def empty() -> None:
        instances.kill_all()
        sessions.forget()
        store.empty()

    module = ModuleType("ministack.services.sagemaker")
    vars(module).update(handle_request=service.handle_request, reset=empty)
    sys.modules[module.__name__] = module
    ministack.SERVICE_REGISTRY["sagemaker"] = {"module": "sagemaker"}
    ministack.SERVICE_HANDLERS["sagemaker"] = service.handle_request
    ministack.SERVICE_PATTERNS["sagemaker"] = {
        "target_prefixes": ["SageMaker"],
        "host_patterns": [r"sagemaker\."],
        "credential_scope": "sagemaker",
    }
    for collectors in ministack.TAG_COLLECTORS:
        collectors["sagemaker"] = store.tagged_resources
    access.install()
    return instances
