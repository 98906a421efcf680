# onnxplain on CUDA: docker build -f docker/cuda.Dockerfile -t onnxplain-cuda .
# docker run --rm --gpus all -v "$PWD:/work" -v onnxplain-cache:/cache onnxplain-cuda explain photo.jpg --device cuda
# The CUDA and cuDNN libraries come as Python packages; the host gives the driver.
FROM python:3.13-slim

COPY . /source
RUN pip install --no-cache-dir opencv-python-headless \
 && pip install --no-cache-dir --no-deps /source \
 && pip install --no-cache-dir 'onnxruntime-gpu[cuda,cudnn]' \
      click lazy-loader numpy onnx pillow scikit-image scipy \
 && rm -r /source \
 && useradd --create-home user \
 && install -d -o user /cache /work
ENV XDG_CACHE_HOME=/cache
USER user
WORKDIR /work
VOLUME /cache
ENTRYPOINT ["onnxplain"]
CMD ["--help"]
