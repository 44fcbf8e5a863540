"""Create, describe, list, stop and update training jobs."""

import time
import uuid
from typing import Any

from federation.rehearse.emulator import ministack_tables as ministack
from federation.rehearse.emulator.access.role_evaluation import RoleArn, principal_of_role
from federation.rehearse.emulator.sagemaker import store
from federation.rehearse.emulator.sagemaker.access import check_passed_role, check_tagging
from federation.rehearse.emulator.sagemaker.api_errors import ApiError, InvalidRequestError, NotEmulatedError
from federation.rehearse.emulator.sagemaker.session_endpoint import Sessions
from federation.rehearse.emulator.sagemaker.tags import as_map
from federation.rehearse.emulator.sagemaker.training.emulated_requests import TRAINING_JOB, refuse_the_rest
from federation.rehearse.emulator.sagemaker.training.instances import Event, Instances
from federation.rehearse.emulator.sagemaker.training.internet import reaches_internet
from federation.rehearse.emulator.sagemaker.training.job_requirements import check_requirements
from federation.rehearse.machine.settings import EmulatorSettings
from federation.rehearse.training_instance.order import JobOrder

Request = dict[str, Any]
_RUNNING = "InProgress"
_SUMMARY = (
    "CreationTime",
    "LastModifiedTime",
    "SecondaryStatus",
    "TrainingEndTime",
    "TrainingJobArn",
    "TrainingJobName",
    "TrainingJobStatus",
)
_MESSAGES = {"Completed": "Training job completed", "Stopped": "Training job stopped"}


class TrainingJobs:
    """The training jobs of all accounts.

    Parameters
    ----------
    settings : EmulatorSettings
        The launcher's settings.
    instances : Instances
        The instances that run the jobs.
    sessions : Sessions
        The source of the jobs' role credentials.
    """

    def __init__(self, settings: EmulatorSettings, instances: Instances, sessions: Sessions) -> None:
        self._settings = settings
        self._sessions = sessions
        self._instances = instances

    def create(self, request: Request, caller: ministack.Principal) -> Request:
        """Start a job, or raise the reason why it cannot start."""
        name, role_arn = request["TrainingJobName"], request["RoleArn"]
        arn, tags = store.arn("training-job", name), as_map(request.get("Tags", []))
        if name in store.training_jobs:
            raise ApiError(
                "ResourceInUse",
                "Training job names must be unique within an AWS account and region, and a training job "
                f"with this name already exists ({arn})",
            )
        refuse_the_rest(request, TRAINING_JOB, "CreateTrainingJob")
        check_tagging(caller, arn, tags, "CreateTrainingJob")
        check_passed_role(caller, role_arn, arn)
        role = principal_of_role(RoleArn.parse(role_arn), "SageMaker")
        check_requirements(request, role, self._settings.image_tags)
        record = _new_record(request, arn)
        store.training_jobs[name] = record
        store.set_tags(arn, tags)
        self._instances.start(self._order(request, arn), lambda event: _apply(record, event))
        return {"TrainingJobArn": arn}

    def _order(self, request: Request, arn: str) -> JobOrder:
        return JobOrder(
            request=request,
            job_arn=arn,
            region=ministack.region(),
            endpoint_url=self._settings.endpoint_url,
            credentials=self._sessions.grant(request["RoleArn"], "SageMaker"),
            folder=self._settings.scratch / "jobs" / uuid.uuid4().hex[:12],
            python=self._settings.job_python,
            internet=reaches_internet(request.get("VpcConfig")),
            stop_grace=self._settings.stop_grace,
        )

    def stop(self, request: Request) -> Request:
        """Stop a job."""
        record = store.found(store.training_jobs, request["TrainingJobName"])
        if record["TrainingJobStatus"] != _RUNNING:
            raise InvalidRequestError(
                "The request was rejected because the training job is in status "
                f"{record['TrainingJobStatus']}."
            )
        record["TrainingJobStatus"] = "Stopping"
        _enter(record, "Stopping", "Stopping the training job")
        self._instances.stop(record["TrainingJobArn"])
        return {}


def describe(request: Request) -> Request:
    """Return everything about a job."""
    return dict(store.found(store.training_jobs, request["TrainingJobName"]))


def list_jobs(request: Request) -> Request:
    """Return the jobs that a filter selects."""
    for member in request.keys() - {"NameContains", "StatusEquals", "MaxResults", "SortBy", "SortOrder"}:
        raise NotEmulatedError(f"ListTrainingJobs.{member}")
    selected = [
        record
        for record in store.training_jobs.values()
        if request.get("StatusEquals") in (None, record["TrainingJobStatus"])
        and request.get("NameContains", "") in record["TrainingJobName"]
    ]
    by = {"Name": "TrainingJobName", "Status": "TrainingJobStatus"}.get(
        request.get("SortBy", ""), "CreationTime"
    )
    selected.sort(key=lambda record: record[by], reverse=request.get("SortOrder") == "Descending")
    if len(selected) > request.get("MaxResults", 100):
        raise NotEmulatedError("more than one page of ListTrainingJobs")
    return {
        "TrainingJobSummaries": [
            {member: record[member] for member in _SUMMARY if member in record} for record in selected
        ]
    }


def update(request: Request) -> Request:
    """Change how long the instance is kept for the next job; no other change is possible here."""
    record = store.found(store.training_jobs, request["TrainingJobName"])
    refuse_the_rest(
        request,
        {
            "TrainingJobName": TRAINING_JOB["TrainingJobName"],
            "ResourceConfig": {"KeepAlivePeriodInSeconds": TRAINING_JOB["TrainingJobName"]},
        },
        "UpdateTrainingJob",
    )
    kept = request.get("ResourceConfig", {}).get("KeepAlivePeriodInSeconds")
    if kept is not None and "KeepAlivePeriodInSeconds" not in record["ResourceConfig"]:
        raise InvalidRequestError("The training job has no warm pool to update.")
    record["ResourceConfig"] = {**record["ResourceConfig"], "KeepAlivePeriodInSeconds": kept}
    return {"TrainingJobArn": record["TrainingJobArn"]}


def _new_record(request: Request, arn: str) -> Request:
    now = time.time()
    record = {
        **{member: value for member, value in request.items() if member != "Tags"},
        "TrainingJobArn": arn,
        "TrainingJobStatus": _RUNNING,
        "CreationTime": now,
        "LastModifiedTime": now,
        "SecondaryStatusTransitions": [],
        "EnableNetworkIsolation": False,
        "EnableInterContainerTrafficEncryption": request.get("EnableInterContainerTrafficEncryption", False),
        "EnableManagedSpotTraining": request.get("EnableManagedSpotTraining", False),
    }
    if "KeepAlivePeriodInSeconds" in request["ResourceConfig"]:
        record["WarmPoolStatus"] = {"Status": "Terminated"}
    _enter(record, "Starting", "Starting the training job")
    return record


def _enter(record: Request, secondary_status: str, message: str) -> None:
    now = time.time()
    transitions = record["SecondaryStatusTransitions"]
    if transitions:
        transitions[-1]["EndTime"] = now
    transitions.append({"Status": secondary_status, "StartTime": now, "StatusMessage": message})
    record["SecondaryStatus"] = secondary_status
    record["LastModifiedTime"] = now


def _apply(record: Request, event: Event) -> None:
    """Update a job's record from its instance's reports; a job that is being stopped shows only that."""
    if "status" in event:
        _finish(record, event)
    elif event.get("secondary_status") == "Training":
        record["TrainingStartTime"] = time.time()
    elif "training_ended" in event:
        _note_training_end(record, event["metrics"])
    elif event.get("model"):
        record["ModelArtifacts"] = {"S3ModelArtifacts": event["model"]}
    if "message" in event and (
        record["TrainingJobStatus"] == _RUNNING or event["secondary_status"] == "Uploading"
    ):
        _enter(record, event["secondary_status"], event["message"])


def _note_training_end(record: Request, metrics: dict[str, tuple[float, float]]) -> None:
    record["TrainingEndTime"] = time.time()
    seconds = max(1, round(record["TrainingEndTime"] - record["TrainingStartTime"]))
    record["TrainingTimeInSeconds"] = record["BillableTimeInSeconds"] = seconds
    record["FinalMetricDataList"] = [
        {"MetricName": name, "Value": value, "Timestamp": stamp} for name, (value, stamp) in metrics.items()
    ]


def _finish(record: Request, event: Event) -> None:
    reason = event.get("reason") or ""
    if reason:
        record["FailureReason"] = reason
    record.setdefault("TrainingEndTime", time.time())
    _enter(record, event["secondary_status"], reason or _MESSAGES.get(event["secondary_status"], ""))
    record["TrainingJobStatus"] = event["status"]
