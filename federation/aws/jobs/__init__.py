"""SageMaker training jobs: the request, the jobs of a run, jobs found afterwards.

`runs` and `learning` contain the training itself.
"""
