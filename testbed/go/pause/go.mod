module github.com/astrolabsoftware/fink-k8s-airflow/testbed/pause

go 1.25.0
