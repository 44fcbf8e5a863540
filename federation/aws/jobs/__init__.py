"""SageMaker training jobs: the request, the jobs of a run, jobs found afterwards.

The training itself is in `runs` and `learning`.
"""
