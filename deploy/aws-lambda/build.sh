#!/bin/sh
# Makes site.zip: the site, its packages for Lambda's x86-64 runtime, and the files of this folder.
# PYTHON_VERSION is that of Runtime in template.yaml.
set -eu
cd "$(dirname "$0")"
rm -rf build site.zip
python3 -m pip install --quiet --disable-pip-version-check --target build --no-compile \
  --only-binary :all: --python-version "${PYTHON_VERSION:-3.13}" --implementation cp \
  --platform manylinux_2_28_x86_64 --platform manylinux2014_x86_64 \
  --find-links ../project/wheels --requirement ../project/requirements.txt --requirement requirements.txt
cp -R ../project/manage.py ../project/mysite aws_secrets.py lambda_settings.py handler.py run.sh build/
find build -name __pycache__ -prune -exec rm -r {} +
cd build
python3 -m zipfile --create ../site.zip ./*
